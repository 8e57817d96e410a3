// SPDX-License-Identifier: Apache-2.0
// TraceStore: what is in the pieces of a trace, and handing open ones to another daemon.
#include "buffer/store/trace_store.h"
#include "wire/otlp/frame.h"

namespace tailgate {
namespace {

constexpr std::size_t kReadAtOnce = 500;  // records of verdicts in one hold of a lock

}  // namespace

// The spans of a trace that was closed or taken out, as views into `payload` and the shard's prefixes, which stay until
// it is settled. The wall clock of the shard.
std::uint64_t TraceStore::read_spans(Shard& shard, const ClosedTrace& closed, std::string& payload,
                                     std::vector<FrameSpan>& spans) {
  thread_local std::vector<std::uint32_t> ids;       // of its runs of spans with the same prefix
  thread_local std::vector<const Prefix*> prefixes;  // of each run
  ids.clear();
  prefixes.clear();
  reader_.gather(closed, payload);
  for_each_span(payload, [&](std::uint32_t id, ByteView) {
    if (ids.empty() || ids.back() != id) ids.push_back(id);
  });
  std::uint64_t now_unix_ns = 0;
  {
    const MutexLock lock(shard.mutex);
    for (const std::uint32_t id : ids) prefixes.push_back(&shard.buffer.prefix(id));
    now_unix_ns = shard.buffer.wall_latest_ns();
  }
  spans.clear();
  std::size_t run = 0;  // of spans with the same prefix
  for_each_span(payload, [&](std::uint32_t id, ByteView span) {
    if (ids[run] != id) ++run;
    spans.push_back({prefixes[run]->resource(), prefixes[run]->scope, span});
  });
  return now_unix_ns;
}

bool TraceStore::hand_over_to(const std::function<bool(const TraceId&)>& wanted,
                              const std::function<bool(ByteView, std::uint32_t)>& take) {
  std::vector<ClosedTrace> taken;
  std::vector<DecidedTrace> decided;
  std::string payload, otlp;
  std::vector<FrameSpan> spans;
  bool all = true;
  for (const std::unique_ptr<Shard>& shard : shards_) {
    std::size_t from = 0;
    for (bool more = true; all && more;) {
      taken.clear();
      {
        const MutexLock lock(shard->mutex);
        more = shard->buffer.take_open(from, wanted, taken);
      }
      for (const ClosedTrace& one : taken) {
        if (all) {
          read_spans(*shard, one, payload, spans);
          const auto count = static_cast<std::uint32_t>(spans.size());
          otlp.clear();
          frame_trace(spans, otlp);
          all = take(otlp, count);
        }
        const MutexLock lock(shard->mutex);
        if (all) {
          shard->buffer.settle_handed(one);
        } else {
          shard->buffer.put_back(one);
        }
        if (log_ != nullptr) shard->buffer.take_decided(decided);
      }
      if (!decided.empty()) log_->decided(decided);
      decided.clear();
    }
    if (!all) break;
  }
  return all;
}

bool TraceStore::knows(const TraceId& id) const {
  Shard& shard = shards_.of(id);
  const MutexLock lock(shard.mutex);
  return shard.buffer.knows(id);
}

void TraceStore::last_verdicts(std::size_t max, const std::function<void(const TraceId&, const Verdict&)>& tell) const {
  std::vector<std::pair<TraceId, Verdict>> read;
  for (const std::unique_ptr<Shard>& shard : shards_) {
    std::uint64_t written = 0;
    for (std::size_t at = 0; at < max; at += kReadAtOnce) {
      read.clear();
      {
        const MutexLock lock(shard->mutex);
        if (at == 0) written = shard->buffer.records_written();
        for (std::size_t age = at; age < std::min(at + kReadAtOnce, max); ++age) {
          const ExplainRecord* const record = shard->buffer.recent(age, written);
          if (record == nullptr) break;
          read.emplace_back(record->id, record->verdict);
        }
      }
      for (const auto& [id, verdict] : read) tell(id, verdict);
      if (read.size() < kReadAtOnce) break;
    }
  }
}

}  // namespace tailgate
