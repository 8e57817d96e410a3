// SPDX-License-Identifier: Apache-2.0
// The records of a journal, in the blocks of its files (docs/design/0022-journal.md draws them). Pure functions over
// bytes; any thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "blocks/block_file.h"
#include "model/ids.h"
#include "model/verdict.h"

namespace tailgate {

// Kinds of blocks/block_file.h; 1 is the store's.
enum class JournalRecord : std::uint8_t {
  kRequest = 2,
  kVerdicts = 3,
  kDeliveries = 4,
  kSettled = 5,
  kForOthers = 6,
  kUnsure = 7,
  kPassedOn = 8,
  kKept = 9,
};

// Who decides the traces of a request, in a cluster (docs/cluster.md).
enum class Whose : std::uint8_t {
  kOwn,     // this daemon
  kOthers,  // another one, which has not said yet that it has them
  kUnsure,  // whoever it is when all that was open here has been replayed
  kKept,    // nobody: a trace that is kept after the fact. `receiver` is the reason
};

// One request that was taken, or what of it belongs to one daemon, as OTLP bytes.
struct JournalRequest {
  std::uint64_t number = 0;           // of its own; never 0, and never used again
  std::uint64_t order = 0;            // taken after its spans were: see JournalVerdict
  std::uint64_t arrival_unix_ns = 0;  // its time argument, as the wall clock had it
  std::string_view receiver, format;
  ByteView otlp;  // an ExportTraceServiceRequest
  // Its traces, for the index of ids; not written.
  std::span<const TraceId> traces = {};
  bool alone = false;  // nobody has taken its spans: they are in the journal or nowhere. Not written either
  Whose whose = Whose::kOwn;
};

// The outcome of a trace. It was decided over the spans of requests with a lower order; or, when `upto` is not 0, over
// those of requests before this position in the journal, because they came out of it. Others are late.
struct JournalVerdict {
  TraceId id;
  std::uint64_t order = 0;
  std::uint64_t upto = 0;
  Verdict verdict;              // but its numbers of policy, route and threshold, for which `words` stand
  std::string_view words = {};  // of a kept trace, or one that a policy dropped; opaque here
  bool moved = false;           // no verdict: its spans went to another daemon, which decides
};

// What every exporter has, or never will.
struct JournalDelivery {
  TraceId id;
  std::uint64_t order = 0;    // of the verdict
  std::uint64_t upto = 0;     // likewise: not 0 when it came out of the journal
  std::uint64_t request = 0;  // not 0: only the late spans that came with this request
};

// Of small requests in one block: a position has room for so many.
inline constexpr std::uint32_t kBlockRecordsMax = 2000;

// Where a record lies: grows along the files of a journal, and is never 0.
inline std::uint64_t journal_position(std::uint64_t segment, std::uint64_t block, std::uint64_t record) {
  return segment << 32 | block << 11 | record;
}

inline constexpr std::uint64_t journal_segment(std::uint64_t position) { return position >> 32; }

// All of its record but `otlp`, which is to follow. False when the request is larger than a block may be.
bool append_request_front(std::string& raw, const JournalRequest& request);
bool append_request(std::string& raw, const JournalRequest& request);
// Views into the record. Of one that is this daemon's own; of any.
std::optional<JournalRequest> read_request(const Record& record);
std::optional<JournalRequest> read_any_request(const Record& record);

// Verdicts with the same words share them.
bool append_verdicts(std::string& raw, const std::vector<JournalVerdict>& verdicts);
bool append_deliveries(std::string& raw, const std::vector<JournalDelivery>& deliveries);
// All traces that began in segments before `below` are decided, and the kept ones delivered; but those of `left`, which
// whoever wrote this could not read.
struct JournalSettled {
  std::uint64_t below = 0;
  std::vector<std::uint64_t> left = {};
};
bool append_settled(std::string& raw, const JournalSettled& settled);
// Numbers of requests that are not this daemon's own, and that others have.
bool append_passed_on(std::string& raw, const std::vector<std::uint64_t>& numbers);

// Nothing, when the bytes are not what the kind says. Words are views into the record.
std::optional<std::vector<JournalVerdict>> read_verdicts(const Record& record);
std::optional<std::vector<JournalDelivery>> read_deliveries(const Record& record);
std::optional<JournalSettled> read_settled(const Record& record);
std::optional<std::vector<std::uint64_t>> read_passed_on(const Record& record);

}  // namespace tailgate
