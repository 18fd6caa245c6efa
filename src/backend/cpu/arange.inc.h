static void CAT(arange, TAG)(int64_t n, int64_t start, int64_t step, void *out) {
  T *o = out;
#if IS_FLOAT || IS_COMPLEX
  C first = LOAD(STORE((C)mx_unbits(start)));
  C d = LOAD(STORE(LOAD(STORE((C)(mx_unbits(start) + mx_unbits(step)))) - first));
  C v = first;
  for (int64_t i = 0; i < n; i++) {
    o[i] = STORE(v);
    v = LOAD(STORE(v + d));
  }
#else
  for (int64_t i = 0; i < n; i++) o[i] = (T)((uint64_t)start + (uint64_t)i * (uint64_t)step);
#endif
}
