#define ON_MX_T_ANY ON
#define ON_MX_T_NUM ON
#define ON_MX_T_FLT_CPX ON
#define ON_MX_T_FLT ON
#define ON_MX_T_REAL ON
#define ON_MX_T_BOOL OFF
#define ON_MX_T_BITS OFF
#define ON_MX_T_INT OFF
