/* What an update does with the element that is there (the mode parameter of slice_update, scatter, scatter_axis). */
#ifndef MX_GRAPH_MODES_H
#define MX_GRAPH_MODES_H

enum { MODE_ASSIGN, MODE_ADD, MODE_MULTIPLY, MODE_MAXIMUM, MODE_MINIMUM };

#endif
