"""Commands of `tritmark`, one subject a file: they parse, call one function and print. Heavy imports wait for the call."""
