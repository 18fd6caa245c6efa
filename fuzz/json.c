/* Any bytes as JSON, through every function of the reader; and what is written as a string reads as it was. */
#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"
#include "fuzz.h"
#include "io/json.h"

static void round_trip(const char *s) {
  mx_text t = {0};
  bool memory = false;
  if (mx_text_add_json(&t, s)) {
    mx_json j = {t.at, t.at + t.n};
    char *back = mx_json_string(&j, &memory);
    if (!memory && (!back || strcmp(back, s) || j.at != j.end)) abort();
    mx_free(back);
  }
  mx_free(t.at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const char *text = (const char *)data;
  mx_json j = {text, text + size};
  if (mx_json_skip(&j) && (j.at > j.end || j.at == text)) abort();
  for (j.at = text; j.at < j.end;) { /* every token */
    const char *from = j.at;
    bool memory;
    uint64_t v;
    char *s = mx_json_string(&j, &memory);
    if (s) round_trip(s);
    mx_free(s);
    if (j.at == from && !mx_json_u64(&j, &v) && j.at == from) mx_json_take_word(&j, "null");
    if (j.at > j.end) abort();
    if (j.at == from) j.at++;
  }
  return 0;
}

int mx_fuzz_seed(int i, mx_writer *w) {
  static const char *const seeds[] = {"{\"a\": [1, 2.5e-3, true, null], \"b\\n\\u00e9\\ud83d\\ude00\": {\"\": \"x\"}}", "[[[[]]], {}, \"\\\\\\\"\", -0]", "18446744073709551615"};
  return i < (int)(sizeof seeds / sizeof *seeds) ? w->write(w, seeds[i], strlen(seeds[i])) : 1;
}
