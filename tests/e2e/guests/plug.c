/* plug.c - a library that calls.c loads and unloads; it calls leaf.c. */
int leaf_plain(int n);
int plug_work(int n);
int plug_work(int n) { return leaf_plain(leaf_plain(n)) + 1; }
