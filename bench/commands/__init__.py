"""Commands of `tritmark`, one subject a file: they parse, call one function and print; heavy imports wait."""
