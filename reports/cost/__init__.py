"""What a model costs on a device of one's own, in seconds, joules and money, against a cloud that is paid by token."""
