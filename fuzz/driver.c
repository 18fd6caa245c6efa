/* Mutates the seeds of a target for some seconds (argument 1, or 1). A crash prints the seed of the random numbers, which repeats it as
 * argument 2. With --seeds FOLDER it writes the seeds there instead, for a fuzzer that wants files. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

enum { ROOM = 1 << 14, SEEDS = 16 };
static struct { uint8_t data[ROOM]; size_t n; } seeds[SEEDS];
static int nseeds;
static uint64_t current;

typedef struct memory_writer {
  mx_writer base;
  int at;
} memory_writer;

static int memory_write(mx_writer *w, const void *from, size_t n) {
  int at = ((memory_writer *)w)->at;
  if (seeds[at].n + n > ROOM) return 1;
  memcpy(seeds[at].data + seeds[at].n, from, n);
  seeds[at].n += n;
  return 0;
}
static const char *memory_label(mx_writer *w) {
  (void)w;
  return "memory";
}

static uint64_t random_bits(uint64_t *s) {
  uint64_t z = *s += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

/* Text that means something to the readers. */
static const char *const words[] = {"\"", "\\", "{", "}", "[", "]", "(", ")", ",", ":", "-1", "0", "1", "99999999999999999999", "4294967296", "2147483647",
                                    "True", "null", "\\u0000", "\\ud800", "'<f8'", "\"BF16\"", "\"F64\"", "\"shape\"", "\"data_offsets\"", "\xff\xff\xff\xff"};
enum { WORDS = sizeof words / sizeof *words };

static void insert(uint8_t *b, size_t *n, size_t at, const void *from, size_t len) {
  if (*n + len > ROOM) return;
  memmove(b + at + len, b + at, *n - at);
  memcpy(b + at, from, len);
  *n += len;
}

static void mutate(uint8_t *b, size_t *n, uint64_t *s) {
  static const uint64_t lengths[] = {0, 1, 255, INT32_MAX, 1ull << 31, UINT32_MAX, INT64_MAX, UINT64_MAX};
  size_t at = *n ? random_bits(s) % *n : 0, len;
  const char *word = words[random_bits(s) % WORDS];
  switch (random_bits(s) % 7) {
    case 0: *n = at; break;
    case 1:
      if (*n) b[at] ^= (uint8_t)(1 << random_bits(s) % 8);
      break;
    case 2:
      if (*n) b[at] = (uint8_t)random_bits(s);
      break;
    case 3:
      if (*n >= 8) memcpy(b + (random_bits(s) % 2 ? 0 : at % (*n - 7)), &lengths[random_bits(s) % 8], 8);
      break;
    case 4: insert(b, n, at, word, strlen(word)); break;
    case 5:
      if (at + (len = strlen(word)) <= *n) memcpy(b + at, word, len);
      break;
    case 6:
      len = random_bits(s) % 32;
      if (at + len <= *n) {
        uint8_t part[32];
        memcpy(part, b + at, len);
        insert(b, n, random_bits(s) % (*n + 1), part, len);
      }
      break;
  }
}

static void crashed(int sig) {
  char text[64];
  int n = snprintf(text, sizeof text, "crash at seed %llu\n", (unsigned long long)current);
  if (write(2, text, (size_t)n) < 0) _exit(2);
  signal(sig, SIG_DFL);
  raise(sig);
}

static void one(uint64_t number) {
  uint64_t s = current = number;
  int at = (int)(random_bits(&s) % (uint64_t)nseeds);
  uint8_t *b = malloc(ROOM);
  if (!b) return;
  size_t n = seeds[at].n;
  memcpy(b, seeds[at].data, n);
  for (uint64_t k = 1 + random_bits(&s) % 6; k; k--) mutate(b, &n, &s);
  uint8_t *exact = malloc(n ? n : 1); /* so that a sanitizer sees a read behind the end */
  if (exact) {
    memcpy(exact, b, n);
    LLVMFuzzerTestOneInput(exact, n);
  }
  free(exact);
  free(b);
}

static int write_seeds(const char *folder) {
  for (int i = 0; i < nseeds; i++) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%d", folder, i);
    FILE *f = fopen(path, "wb");
    if (!f) return 1;
    bool short_write = fwrite(seeds[i].data, 1, seeds[i].n, f) != seeds[i].n;
    if (fclose(f) || short_write) return 1;
  }
  return 0;
}

int main(int argc, char **argv) {
  double seconds = argc > 1 ? atof(argv[1]) : 1;
  while (nseeds < SEEDS && !mx_fuzz_seed(nseeds, &(memory_writer){{memory_write, memory_label, false}, nseeds}.base)) nseeds++;
  if (!nseeds) return 1;
  if (argc > 2 && !strcmp(argv[1], "--seeds")) return write_seeds(argv[2]);
  for (int i = 0; i < nseeds; i++) /* cut anywhere */
    for (size_t n = 0; n <= seeds[i].n; n++) LLVMFuzzerTestOneInput(seeds[i].data, n);
  signal(SIGSEGV, crashed);
  signal(SIGABRT, crashed);
  if (argc > 2) {
    one(strtoull(argv[2], NULL, 10));
    return 0;
  }
  struct timespec from, now;
  clock_gettime(CLOCK_MONOTONIC, &from);
  uint64_t n = 0, start = (uint64_t)from.tv_nsec << 20;
  do {
    for (int i = 0; i < 100; i++) one(start + n++);
    clock_gettime(CLOCK_MONOTONIC, &now);
  } while ((double)(now.tv_sec - from.tv_sec) + (double)(now.tv_nsec - from.tv_nsec) * 1e-9 < seconds);
  printf("%llu inputs\n", (unsigned long long)n);
  return 0;
}
