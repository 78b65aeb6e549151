"""The files of the twins, by kind of data set."""
