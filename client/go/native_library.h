// Finds the functions of shipmate.h in the library at a path, or of a name. Gives NULL, or what is wrong.
const char *load_shipmate(const char *path);
