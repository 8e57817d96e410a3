// SPDX-License-Identifier: Apache-2.0
// A module of the span table like the real one in all that sizes and names tell, of another build.
#include "export/parquet/span_table.h"

extern "C" __attribute__((visibility("default")))
const tailgate::SpanTableModule tailgate_span_table = {tailgate::span_table_version("another build"), nullptr};
