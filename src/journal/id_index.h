// SPDX-License-Identifier: Apache-2.0
// IdIndex: in which blocks of a file of requests a trace has spans. NUMBER.ids, beside the requests; it can be made
// again from them, so it is not synced.
//
// Pages of 4 KiB with the entries in the order of their hashes, each page with a checksum. Hashes are spread evenly, so
// a look-up reads the page where one has to be, and seldom a neighbour. Threads: any.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "model/ids.h"

namespace tailgate {

struct IdEntry {
  std::uint64_t hash = 0;
  std::uint64_t position = 0;  // of the block
  friend auto operator<=>(const IdEntry&, const IdEntry&) = default;
};

std::uint64_t hash_of_id(const TraceId& id);  // the same in every process
std::string ids_path(const std::string& directory, std::uint64_t segment);

// Calls for each trace of a request, once or more. False: the request is malformed.
bool each_id(ByteView otlp, const std::function<void(const TraceId&)>& take);
// Likewise, with its spans and their bytes.
bool each_trace(ByteView otlp, const std::function<void(const TraceId&, std::uint64_t, std::uint64_t)>& take);

// Sorts the entries. The file is there whole or not at all.
Result<std::uint64_t> write_ids(const std::string& path, std::vector<IdEntry> entries);

// The positions under this hash, ascending. kBadInput: the file is damaged or of a newer version; kIo: it is not there
// or cannot be read.
Result<std::vector<std::uint64_t>> find_ids(const std::string& path, std::uint64_t hash);

}  // namespace tailgate
