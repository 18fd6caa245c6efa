#ifndef MX_ERFINV_H
#define MX_ERFINV_H

#include <math.h>

/* erfinv(x) / x to 1e-6, of w = -log(1 - x x) (Giles, "Approximating the erfinv function", 2010). */
static inline double mx_erfinv_ratio(double w) {
  double r;
  if (w < 5) {
    w -= 2.5;
    r = 2.81022636e-08;
    r = 3.43273939e-07 + r * w;
    r = -3.5233877e-06 + r * w;
    r = -4.39150654e-06 + r * w;
    r = 0.00021858087 + r * w;
    r = -0.00125372503 + r * w;
    r = -0.00417768164 + r * w;
    r = 0.246640727 + r * w;
    r = 1.50140941 + r * w;
  } else {
    w = sqrt(w) - 3;
    r = -0.000200214257;
    r = 0.000100950558 + r * w;
    r = 0.00134934322 + r * w;
    r = -0.00367342844 + r * w;
    r = 0.00573950773 + r * w;
    r = -0.0076224613 + r * w;
    r = 0.00943887047 + r * w;
    r = 1.00167406 + r * w;
    r = 2.83297682 + r * w;
  }
  return r;
}

#endif
