/* The kernels of gemm_rows.c for one type of W and 1 to 8 rows. */
#define COUNT 1
#include "backend/cpu/isa/gemm_rows.inc.h"
#undef COUNT
#define COUNT 2
#include "backend/cpu/isa/gemm_rows.inc.h"
#undef COUNT
#define COUNT 3
#include "backend/cpu/isa/gemm_rows.inc.h"
#undef COUNT
#define COUNT 4
#include "backend/cpu/isa/gemm_rows.inc.h"
#undef COUNT
#define COUNT 5
#include "backend/cpu/isa/gemm_rows.inc.h"
#undef COUNT
#define COUNT 6
#include "backend/cpu/isa/gemm_rows.inc.h"
#undef COUNT
#define COUNT 7
#include "backend/cpu/isa/gemm_rows.inc.h"
#undef COUNT
#define COUNT 8
#include "backend/cpu/isa/gemm_rows.inc.h"
#undef COUNT
