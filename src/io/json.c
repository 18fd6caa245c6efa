/* A small reader and writer of JSON. */
#include "io/json.h"

#include <stdio.h>
#include <string.h>

#include "core/alloc.h"

static void skip_space(mx_json *j) {
  while (j->at < j->end && strchr(" \t\r\n", *j->at) && *j->at) j->at++;
}

bool mx_json_take(mx_json *j, char c) {
  skip_space(j);
  if (j->at == j->end || *j->at != c) return false;
  j->at++;
  return true;
}

bool mx_json_take_word(mx_json *j, const char *word) {
  size_t n = strlen(word);
  skip_space(j);
  if ((size_t)(j->end - j->at) < n || memcmp(j->at, word, n)) return false;
  j->at += n;
  return true;
}

bool mx_json_u64(mx_json *j, uint64_t *v) {
  skip_space(j);
  if (j->at == j->end || *j->at < '0' || *j->at > '9') return false;
  for (*v = 0; j->at < j->end && *j->at >= '0' && *j->at <= '9'; j->at++)
    if (__builtin_mul_overflow(*v, (uint64_t)10, v) || __builtin_add_overflow(*v, (uint64_t)(*j->at - '0'), v)) return false;
  return j->at == j->end || !strchr(".eE", *j->at) || !*j->at;
}

static bool hex4(mx_json *j, uint32_t *u) {
  if (j->end - j->at < 4) return false;
  *u = 0;
  for (int i = 0; i < 4; i++) {
    char c = *j->at++;
    int d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
    if (d < 0) return false;
    *u = *u << 4 | (uint32_t)d;
  }
  return true;
}

static char *put_utf8(char *p, uint32_t u) {
  if (u < 0x80) {
    *p++ = (char)u;
  } else if (u < 0x800) {
    *p++ = (char)(0xc0 | u >> 6);
    *p++ = (char)(0x80 | (u & 63));
  } else if (u < 0x10000) {
    *p++ = (char)(0xe0 | u >> 12);
    *p++ = (char)(0x80 | (u >> 6 & 63));
    *p++ = (char)(0x80 | (u & 63));
  } else {
    *p++ = (char)(0xf0 | u >> 18);
    *p++ = (char)(0x80 | (u >> 12 & 63));
    *p++ = (char)(0x80 | (u >> 6 & 63));
    *p++ = (char)(0x80 | (u & 63));
  }
  return p;
}

/* What follows a backslash; NULL when it is no escape. A zero would end the string: refused. */
static char *unescape(mx_json *j, char *p) {
  static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
  if (j->at == j->end) return NULL;
  char c = *j->at++;
  if (c != 'u') {
    const char *f = c ? strchr(from, c) : NULL;
    if (!f) return NULL;
    *p++ = to[f - from];
    return p;
  }
  uint32_t u, low;
  if (!hex4(j, &u) || !u) return NULL;
  if (u >= 0xd800 && u < 0xdc00) { /* the first of a pair */
    if (j->end - j->at < 6 || *j->at++ != '\\' || *j->at++ != 'u' || !hex4(j, &low) || low < 0xdc00 || low > 0xdfff) return NULL;
    u = 0x10000 + ((u - 0xd800) << 10 | (low - 0xdc00));
  }
  return put_utf8(p, u);
}

char *mx_json_string(mx_json *j, bool *memory) {
  *memory = false;
  if (!mx_json_take(j, '"')) return NULL;
  const char *close = j->at;
  while (close < j->end && *close != '"') close += *close == '\\' ? 2 : 1;
  if (close >= j->end) return NULL;
  char *text = mx_malloc((size_t)(close - j->at) + 1), *p = text; /* decoding never lengthens */
  if (!text) {
    *memory = true;
    return NULL;
  }
  while (p && j->at < close) {
    char c = *j->at++;
    if (c == '\\')
      p = unescape(j, p);
    else if ((unsigned char)c < 0x20)
      p = NULL;
    else
      *p++ = c;
  }
  if (!p) {
    mx_free(text);
    return NULL;
  }
  j->at = close + 1;
  *p = 0;
  return text;
}

static bool skip_string(mx_json *j) {
  if (!mx_json_take(j, '"')) return false;
  while (j->at < j->end && *j->at != '"') j->at += *j->at == '\\' && j->end - j->at > 1 ? 2 : 1;
  return mx_json_take(j, '"');
}

static bool skip_scalar(mx_json *j) {
  const char *from;
  if (skip_string(j) || mx_json_take_word(j, "true") || mx_json_take_word(j, "false") || mx_json_take_word(j, "null")) return true;
  for (from = j->at; j->at < j->end && *j->at && strchr("+-.eE0123456789", *j->at);) j->at++;
  return j->at > from;
}

bool mx_json_skip(mx_json *j) {
  char closing[64]; /* of the open objects and lists */
  int depth = 0;
  for (;;) {
    char open = mx_json_take(j, '{') ? '}' : mx_json_take(j, '[') ? ']' : 0;
    if (open) {
      if (depth == sizeof closing) return false;
      closing[depth++] = open;
      if (mx_json_take(j, open)) depth--;
      else if (open == ']') continue;
      else if (skip_string(j) && mx_json_take(j, ':')) continue;
      else return false;
    } else if (!skip_scalar(j)) {
      return false;
    }
    /* a value is complete: close what it completes, or go on to the next */
    while (depth && !mx_json_take(j, ',')) {
      if (!mx_json_take(j, closing[depth - 1])) return false;
      depth--;
    }
    if (!depth) return true;
    if (closing[depth - 1] == '}' && !(skip_string(j) && mx_json_take(j, ':'))) return false;
  }
}

bool mx_text_add(mx_text *t, const char *s, size_t n) {
  if (n > t->cap - t->n) {
    size_t cap = (t->n + n) * 2 + 64;
    char *p = mx_realloc(t->at, cap);
    if (!p) return false;
    t->at = p;
    t->cap = cap;
  }
  memcpy(t->at + t->n, s, n);
  t->n += n;
  return true;
}

bool mx_text_add_json(mx_text *t, const char *s) {
  bool ok = mx_text_add(t, "\"", 1);
  for (; ok && *s; s++) {
    char escaped[8];
    int n = *s == '"' || *s == '\\'      ? snprintf(escaped, sizeof escaped, "\\%c", *s)
            : (unsigned char)*s < 0x20 ? snprintf(escaped, sizeof escaped, "\\u%04x", *s)
                                       : snprintf(escaped, sizeof escaped, "%c", *s);
    ok = mx_text_add(t, escaped, (size_t)n);
  }
  return ok && mx_text_add(t, "\"", 1);
}
