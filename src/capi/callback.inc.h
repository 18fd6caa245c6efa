/* The parts that all closure types but mlx_closure share; included once for each with
 *   CLS        the handle's type
 *   F(name)    the public function's name, as mlx_closure_custom_##name
 *   PLAIN      the parameters of a function without payload, in parentheses, so that it is int (*fun) PLAIN
 *   LOADED     those of a function with one */

CLS F(new)(void) { return (CLS){NULL}; }

int F(free)(CLS cls) { return mx_callback_free(cls.ctx); }

CLS F(new_func)(int(*fun) PLAIN) {
  CLS c = {mx_callback_new((void (*)(void))fun, false, NULL, NULL)};
  return c;
}

CLS F(new_func_payload)(int(*fun) LOADED, void *payload, void (*dtor)(void *)) {
  CLS c = {mx_callback_new((void (*)(void))fun, true, payload, dtor)};
  return c;
}

int F(set)(CLS *cls, const CLS src) {
  if (!cls || !src.ctx) return MX_REFUSE(MX_EVALUE, "[closure_set] empty closure or no place for the result given");
  return MX_STATUS(mx_put_callback(&cls->ctx, mx_callback_of(src.ctx)));
}

#undef CLS
#undef F
#undef PLAIN
#undef LOADED
