// SPDX-License-Identifier: Apache-2.0
// IdIndex: in which blocks of a file of requests a trace has spans. NUMBER.ids, beside the requests; it can be made
// again from them, so it is not synced.
//
// Pages of 4 KiB with the entries in the order of their hashes, each page with a checksum. Hashes are spread evenly, so
// a look-up reads the page where one has to be, and seldom a neighbour. Threads: any.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/byte_budget.h"
#include "base/bytes.h"
#include "base/result.h"
#include "model/ids.h"

namespace tailgate {

struct IdEntry {
  std::uint64_t hash = 0;
  std::uint64_t position = 0;  // of the block
  friend auto operator<=>(const IdEntry&, const IdEntry&) = default;
};

// Entries that grow at one end while others read what was there when they took a View: it needs no lock.
class IdList {
 public:
  static constexpr std::size_t kChunkEntries = 4096;
  using Chunk = std::array<IdEntry, kChunkEntries>;

  // Charges its memory to the account of `charge`, an empty one.
  explicit IdList(Charge charge) : charge_(std::move(charge)) {}
  // False: there is no room for more.
  bool add(const IdEntry& entry);

  class View {
   public:
    View(std::vector<std::shared_ptr<Chunk>> chunks, std::size_t size) : chunks_(std::move(chunks)), size_(size) {}
    template <class F>
    void each(F&& take) const {
      for (std::size_t i = 0; i != size_; ++i) take((*chunks_[i / kChunkEntries])[i % kChunkEntries]);
    }
    std::size_t size() const { return size_; }

   private:
    std::vector<std::shared_ptr<Chunk>> chunks_;
    std::size_t size_;
  };
  View view() const { return {chunks_, size_}; }

 private:
  std::vector<std::shared_ptr<Chunk>> chunks_;
  std::size_t size_ = 0;
  Charge charge_;
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
