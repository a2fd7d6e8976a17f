int main(void) { return puts("hello") < 0; }
