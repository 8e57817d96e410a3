// SPDX-License-Identifier: Apache-2.0
// SpanTableWriter: spans as the rows of one Parquet file. Arrow C++ writes it, in a shared module (module/) that is
// loaded when the first exporter of such files starts, so that nobody else pays for some 60 MB of libraries.
//
// Threads: one at a time. Rows are copied. The rows of the open row group are held as they are, ended groups
// compressed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "export/parquet/span_columns.h"
#include "wire/otlp/span_view.h"

namespace tailgate {

struct SpanRow {
  const SpanView* span = nullptr;
  const ResourceColumns* resource = nullptr;
  const ScopeView* scope = nullptr;
  // The attributes of these are left out: another row of the file has them.
  bool resource_elsewhere = false, scope_elsewhere = false;
  ByteView policy;  // that kept its trace
  bool by_chance = false;
  bool late = false;
};

struct SpanTableOptions {
  int compression_level = 3;  // of zstd, 1 to 12
  std::int64_t row_group_rows = 20'000;
  std::size_t piece_bytes = 16 << 20;
};

// A file in pieces of SpanTableOptions::piece_bytes; the last may be smaller. The pieces are sent as they are, so that
// the file is in memory once.
using FilePieces = std::vector<std::string>;

class SpanTableWriter {
 public:
  virtual ~SpanTableWriter() = default;
  virtual void add(const SpanRow& row) = 0;
  virtual Result<void> end_row_group() = 0;
  // The whole file; nothing may be called after it.
  virtual Result<FilePieces> finish() = 0;
};

// Null when there is no memory for it.
using MakeSpanTable = std::function<std::unique_ptr<SpanTableWriter>(const SpanTableOptions&)>;

// What the module exports. The daemon compares `build` with its own, because both sides pass C++ objects to each other.
inline constexpr const char* kSpanTableSymbol = "tailgate_span_table";
struct SpanTableModule {
  std::uint64_t version;
  SpanTableWriter* (*make)(const SpanTableOptions&);  // null: out of memory
};
// A hash (FNV-1a) of `build`, which CMake makes of version, commit, compiler and the headers that both sides read
// (TAILGATE_SPAN_TABLE_BUILD, src/CMakeLists.txt), of the columns' names and of sizes, which flags may change.
constexpr std::uint64_t span_table_version(std::string_view build) {
  std::uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&](std::string_view text) {
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    hash = (hash ^ 0xFF) * 0x100000001b3;  // ends the text: in none of them
  };
  add(build);
  for (const TextColumn& column : kTextColumns) {
    add(column.name);
    for (const std::string_view key : column.keys) add(key);
  }
  for (std::size_t size : {sizeof(SpanRow), sizeof(SpanView), sizeof(ResourceView), sizeof(ResourceColumns),
                           sizeof(ScopeView), sizeof(SpanTableOptions)}) {
    for (; size != 0; size >>= 8) hash = (hash ^ (size & 0xFF)) * 0x100000001b3;
    hash *= 0x100000001b3;
  }
  return hash;
}

}  // namespace tailgate
