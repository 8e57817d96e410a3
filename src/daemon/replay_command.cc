// SPDX-License-Identifier: Apache-2.0
#include "daemon/replay_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/unordered/unordered_flat_map.hpp>
#include <map>

#include "daemon/past_run.h"
#include "journal/history.h"
#include "web/json_page.h"

namespace tailgate {
namespace {

namespace json = boost::json;

constexpr int kDone = 0, kJudgedBad = 1, kNothingFound = 4;

// Of verdicts of then only the policy is of interest: the first of the words (journal_link.cc).
class PolicyNames final : public VerdictWords {
 public:
  std::string words_of(const Verdict&) const override { return {}; }
  Verdict verdict_of(const Verdict& verdict, std::string_view words) const override {
    Verdict out = verdict;
    const std::string name(words.substr(0, words.find('\0')));
    const auto at = std::find(names_.begin(), names_.end(), name);
    out.policy = static_cast<std::uint16_t>(at - names_.begin());
    if (at == names_.end()) names_.push_back(name);
    return out;
  }
  const std::string& name_of(std::uint16_t number) const { return names_[number]; }

 private:
  mutable std::vector<std::string> names_;  // one thread
};

struct Row {
  std::uint64_t traces = 0, spans = 0, bytes = 0;
};
using Rows = std::map<std::string, Row>;

json::object json_of(const Rows& rows) {
  json::object policies;
  Row sum;
  for (const auto& [name, row] : rows) {
    policies[name] = json::object{{"traces", row.traces}, {"spans", row.spans}, {"bytes", row.bytes}};
    sum.traces += row.traces;
    sum.spans += row.spans;
    sum.bytes += row.bytes;
  }
  return json::object{
      {"traces", sum.traces}, {"spans", sum.spans}, {"bytes", sum.bytes}, {"policies", std::move(policies)}};
}

using Verdicts = boost::unordered_flat_map<std::string, Verdict>;  // by id

// What was decided then, of all traces whose ends are there.
Verdicts verdicts_of_then(const std::string& directory, const PolicyNames& names) {
  Verdicts out;
  const auto numbers = segment_numbers(directory);
  JournalHistory history;
  for (const std::uint64_t segment : numbers ? *numbers : std::vector<std::uint64_t>()) {
    history.pass(directory, segment, names,
                 [&](const TraceId& id, const Verdict& verdict) { out[std::string(id.view())] = verdict; });
  }
  return out;
}

// Spans and bytes of the traces that were kept then, within the same time.
Rows kept_then(const PastRunOptions& options, const Verdicts& verdicts, const PolicyNames& names) {
  Rows out;
  boost::unordered_flat_map<std::string, bool> seen;
  const Journal::Extent extent = options.extent();
  JournalCursor cursor(options.directory, options.extent,
                       Journal::segment_at(options.directory, extent, options.from_unix_ns));
  const auto take = [&](const JournalRequest& request, std::uint64_t) {
    if (request.arrival_unix_ns < options.from_unix_ns) return;
    each_trace(request.otlp, [&](const TraceId& id, std::uint64_t spans, std::uint64_t bytes) {
      const auto verdict = verdicts.find(std::string(id.view()));
      if (verdict == verdicts.end() || verdict->second.decision != Decision::kSampled) return;
      Row& row = out[names.name_of(verdict->second.policy)];
      row.traces += seen.try_emplace(std::string(id.view()), true).second;
      row.spans += spans;
      row.bytes += bytes;
    });
  };
  for (;;) {
    const Result<bool> more = cursor.next(take);
    if ((more && !*more) || (!more && !cursor.skip())) return out;
  }
}

Rows kept_now(const PolicyTally& tally, const NamesTable& names) {
  Rows out;
  for (std::size_t p = 1; p < tally.rows.size(); ++p) {
    const PolicyTally::Row& row = tally.rows[p];
    if (row.kept_traces == 0) continue;
    out[names.name_of(static_cast<std::uint16_t>(p))] = {row.kept_traces, row.kept_spans, row.kept_bytes};
  }
  return out;
}

}  // namespace

int replay_journal(const DaemonConfig& config, const Assembly& parts, const std::string& directory, Duration last) {
  const auto found = Journal::extent_of(directory);
  if (!found || found->segments.empty()) {
    fmt::print(stderr, "tailgate: {}\n",
               found ? fmt::format("'{}' has no files of a journal", directory) : found.error().text);
    return kJudgedBad;
  }
  PastRunOptions options;
  options.directory = directory;
  options.extent = [&] { return *found; };
  const std::uint64_t now = wall_now_ns();
  if (last != Duration::zero()) options.from_unix_ns = now - std::min(now, static_cast<std::uint64_t>(last.count()));
  options.store = parts.store;
  options.store.shards = 1;
  options.memory = config.sampling.memory_limit / 2;
  const auto outcome = run_past(options, parts.policies, *parts.tables, [](std::span<const DecidedTrace>) {});
  if (!outcome || outcome->requests == 0) {
    fmt::print(stderr, "tailgate: {}\n", outcome ? "the journal has nothing of that time" : outcome.error().text);
    return kNothingFound;
  }
  const PolicyNames names;
  const Verdicts then = verdicts_of_then(directory, names);
  const json::object out{{"from", iso_time(outcome->first_unix_ns)},
                         {"to", iso_time(outcome->last_unix_ns)},
                         {"requests", outcome->requests},
                         {"bytes", outcome->bytes},
                         {"traces", outcome->totals.totals.decided_in_all()},
                         {"damaged", outcome->damaged},
                         {"left_out", outcome->not_taken},
                         {"would_keep", json_of(kept_now(outcome->totals.totals.policies, parts.tables->names))},
                         {"kept", json_of(kept_then(options, then, names))}};
  std::string text;
  append_json(text, out, JsonForm::kPretty);
  fmt::print("{}\n", text);
  return kDone;
}

}  // namespace tailgate
