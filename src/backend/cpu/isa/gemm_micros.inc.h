/* The micro-kernels of V vectors and 1 to MR rows. */
#define R 1
#include "backend/cpu/isa/gemm_micro.inc.h"
#undef R
#define R 2
#include "backend/cpu/isa/gemm_micro.inc.h"
#undef R
#define R 3
#include "backend/cpu/isa/gemm_micro.inc.h"
#undef R
#define R 4
#include "backend/cpu/isa/gemm_micro.inc.h"
#undef R
#define R 5
#include "backend/cpu/isa/gemm_micro.inc.h"
#undef R
#define R 6
#include "backend/cpu/isa/gemm_micro.inc.h"
#undef R
#if MR > 6
#define R 7
#include "backend/cpu/isa/gemm_micro.inc.h"
#undef R
#define R 8
#include "backend/cpu/isa/gemm_micro.inc.h"
#undef R
#define R 9
#include "backend/cpu/isa/gemm_micro.inc.h"
#undef R
#define R 10
#include "backend/cpu/isa/gemm_micro.inc.h"
#undef R
#define R 11
#include "backend/cpu/isa/gemm_micro.inc.h"
#undef R
#define R 12
#include "backend/cpu/isa/gemm_micro.inc.h"
#undef R
#define R 13
#include "backend/cpu/isa/gemm_micro.inc.h"
#undef R
#define R 14
#include "backend/cpu/isa/gemm_micro.inc.h"
#undef R
#endif
