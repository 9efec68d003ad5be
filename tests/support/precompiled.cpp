// The program that owns the tests' precompiled headers; the tests use them.
int main() {}
