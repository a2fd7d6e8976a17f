void greet(void) { puts("and goodbye"); }
