// SPDX-License-Identifier: Apache-2.0
// Finding and loading the module that writes Parquet (span_table.h). It is never unloaded: Arrow has threads of its
// own.
#pragma once

#include <string>

#include "base/result.h"
#include "export/parquet/span_table.h"

namespace tailgate {

inline constexpr const char* kParquetModule = "libtailgate_parquet.so";

// Its path: beside the running program, or in ../lib/tailgate from there. "" when it is in neither.
std::string find_parquet_module();

// kIo: it cannot be loaded, or is of another build.
Result<MakeSpanTable> load_parquet_module(const std::string& path);

}  // namespace tailgate
