// SPDX-License-Identifier: Apache-2.0
#include "daemon/policy_trial.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/unordered/unordered_flat_map.hpp>
#include <map>
#include <utility>

#include "base/hash.h"
#include "buffer/offline.h"
#include "config/config_file.h"
#include "daemon/journal/journal_link.h"
#include "journal/history.h"
#include "journal/id_index.h"
#include "settings/journal.h"
#include "settings/sampling.h"

namespace tailgate {
namespace {

class OfflineTrial final : public PolicyTrial {
 public:
  OfflineTrial(PolicySetPtr policies, std::shared_ptr<PolicyTables> tables, const BufferLimits& limits)
      : policies_(policies), tables_(std::move(tables)), judge_(std::move(policies), limits) {}

  bool add(std::string otlp) override { return judge_.add(std::move(otlp)).ok; }

  Outcome finish(const std::function<bool()>& stop) override {
    Outcome out;
    std::map<std::uint16_t, TriedPolicy> rows;
    const auto name_of = [&](std::uint16_t number) { return std::string(tables_->names.name_of(number)); };
    for (std::size_t i = 0; i < policies_->size(); ++i) rows[policies_->number_of(i)];
    for (const OfflineTrace& trace : judge_.finish(stop)) {
      TriedTrace& tried = out.traces.emplace_back();
      tried.id = trace.id;
      tried.kept = trace.verdict.decision == Decision::kSampled;
      if (trace.verdict.policy != 0) {
        tried.policy = name_of(trace.verdict.policy);
        ++rows[trace.verdict.policy].decided;
      }
      for (const OfflineVote& vote : trace.votes) {
        TriedPolicy& row = rows[vote.policy];
        if (vote.vote == Vote::kSampled) ++row.sampled;
        if (vote.vote == Vote::kNotSampled) ++row.not_sampled;
        if (vote.vote == Vote::kDropped) ++row.dropped;
        const bool decided = trace.verdict.policy == 0 || vote.policy == trace.verdict.policy;
        if (tried.why.empty() && decided) tried.why = vote.why;
      }
    }
    for (auto& [number, row] : rows) {
      row.name = name_of(number);
      out.policies.push_back(std::move(row));
    }
    return out;
  }

 private:
  const PolicySetPtr policies_;
  const std::shared_ptr<PolicyTables> tables_;
  OfflineJudge judge_;
};

// A condition in the policy that takes it.
std::string policy_of(std::string_view form, const std::string& condition) {
  const std::string quoted = quoted_condition(condition);
  return form == "span" ? fmt::format("{{name: tried, type: ottl_condition, ottl_condition: {{span: [{}]}}}}", quoted)
                        : fmt::format("{{name: tried, type: trace, trace: {{condition: {}}}}}", quoted);
}

std::vector<ConfigNode> policies_in(const ConfigNode& root) {
  if (root.is_list()) return root.items();
  if (root.has("policies")) return root.child("policies").items();
  return {root};
}

struct TrialPolicies {
  PolicySetPtr policies;
  std::shared_ptr<PolicyTables> tables;
};

Result<TrialPolicies> trial_policies(std::string_view form, const std::string& text) {
  LoadOptions options;
  bool referred = false;
  options.environment = [&](const std::string&) -> std::optional<std::string> {
    referred = true;
    return std::nullopt;
  };
  const Result<ConfigDocument> document =
      load_config_text(form == "policy" ? text : policy_of(form, text), "the policy", options);
  if (referred) {
    return fail(ErrorKind::kBadInput, "expected no references to environment variables: a trial does not read them");
  }
  if (!document) return tl::unexpected(document.error());
  SamplingConfig sampling;
  sampling.policies = policies_in(document->root);
  auto tables = std::make_shared<PolicyTables>();
  PolicySetPtr policies = build_policies(sampling, {}, *tables, 1, document->root);
  if (!document->issues->errors.empty()) {
    std::string all;
    for (const std::string& line : messages(document->issues->errors)) all += (all.empty() ? "" : "\n") + line;
    return fail(ErrorKind::kBadInput, all);
  }
  return TrialPolicies{std::move(policies), std::move(tables)};
}

struct IdHash {
  std::size_t operator()(const TraceId& id) const { return hash_bytes(id.view(), 0); }
};

// What was kept then, as the verdicts that the journal has say.
class KeptThen {
 public:
  explicit KeptThen(std::size_t most) : most_(most) {}

  // Of the traces that may have spans in this segment or a later one.
  void read(const std::string& directory, std::uint64_t from, const std::function<bool()>& cancelled) {
    const auto numbers = segment_numbers(directory);
    JournalHistory history;
    for (const std::uint64_t segment : numbers ? *numbers : std::vector<std::uint64_t>()) {
      if (segment < from) continue;
      if (cancelled && cancelled()) break;
      history.pass(directory, segment, names_, [&](const TraceId& id, const Verdict& verdict) {
        const bool kept = verdict.decision == Decision::kSampled;
        if (kept && names_.name_of(verdict.policy) == kKeptAfterPolicy) return;  // no policy has kept it
        if (!kept) {
          kept_.erase(id);
        } else if (kept_.size() < most_ || kept_.contains(id)) {
          kept_[id] = {verdict.policy, false};
        } else {
          cut_ = true;
        }
      });
    }
    damaged_ = history.damaged();
  }

  void count(const JournalRequest& request, PastTried& out) {
    each_trace(request.otlp, [&](const TraceId& id, std::uint64_t spans, std::uint64_t bytes) {
      out.spans += spans;
      const auto at = kept_.find(id);
      if (at == kept_.end()) return;
      PastTried::Row& row = out.kept[names_.name_of(at->second.policy)];
      row.traces += at->second.seen ? 0 : 1;
      row.spans += spans;
      row.bytes += bytes;
      at->second.seen = true;
    });
  }

  bool contains(const TraceId& id) const { return kept_.contains(id); }
  bool cut() const { return cut_; }
  std::uint64_t damaged() const { return damaged_; }

 private:
  struct Entry {
    std::uint16_t policy = 0;
    bool seen = false;
  };
  const std::size_t most_;
  const PolicyNames names_;
  boost::unordered_flat_map<TraceId, Entry, IdHash> kept_;
  bool cut_ = false;
  std::uint64_t damaged_ = 0;
};

constexpr std::size_t kKeptBytes = 64;  // that KeptThen holds for a trace, while it grows

}  // namespace

Result<std::unique_ptr<PolicyTrial>> make_policy_trial(std::string_view form, const std::string& text,
                                                       const BufferLimits& limits) {
  Result<TrialPolicies> made = trial_policies(form, text);
  if (!made) return tl::unexpected(made.error());
  return std::make_unique<OfflineTrial>(std::move(made->policies), std::move(made->tables), limits);
}

Result<PastTried> try_past(PastRunOptions options, const PolicySetPtr& policies, PolicyTables& tables,
                           std::size_t kept_max) {
  PastTried out;
  KeptThen then(kept_max);
  const Journal::Extent extent = options.extent();
  then.read(options.directory, Journal::segment_at(options.directory, extent, options.from_unix_ns), options.cancelled);
  options.taken = [&](const JournalRequest& request) { then.count(request, out); };
  const auto decided = [&](std::span<const DecidedTrace> traces) {
    for (const DecidedTrace& d : traces) {
      if (d.verdict.decision != Decision::kSampled || out.newly_kept.size() >= PastTried::kNewMax) continue;
      if (!then.contains(d.id)) out.newly_kept.emplace_back(d.id, tables.names.name_of(d.verdict.policy));
    }
  };
  const Result<PastRunOutcome> ran = run_past(options, policies, tables, decided);
  if (!ran) return tl::unexpected(ran.error());
  out.first_unix_ns = ran->first_unix_ns;
  out.last_unix_ns = ran->last_unix_ns;
  out.requests = ran->requests;
  out.bytes = ran->bytes;
  out.damaged = ran->damaged + then.damaged();
  out.left_out = ran->not_taken;
  out.cut = ran->cut;
  out.kept_cut = then.cut();
  const BufferCounters& totals = ran->totals.totals;
  out.traces = totals.decided_in_all();
  out.judged_early = ran->judged_early;
  for (std::size_t p = 1; p < totals.policies.rows.size(); ++p) {
    const PolicyTally::Row& row = totals.policies.rows[p];
    if (row.kept_traces == 0) continue;
    out.would_keep[tables.names.name_of(static_cast<std::uint16_t>(p))] = {row.kept_traces, row.kept_spans,
                                                                           row.kept_bytes};
  }
  return out;
}

Result<PastTried> try_past(const PastQuestion& question, PastRunOptions options, std::size_t memory) {
  const Result<TrialPolicies> made = trial_policies(question.form, question.text);
  if (!made) return tl::unexpected(made.error());
  options.from_unix_ns = question.from_unix_ns;
  options.cancelled = question.stop;
  options.store.shards = 1;
  // Most of it for open traces; the rest for what is decided, now and then.
  options.memory = memory - memory / 4;
  options.store.limits.cache_bytes = std::min(options.store.limits.cache_bytes, memory / 8);
  return try_past(std::move(options), made->policies, *made->tables, memory / 8 / kKeptBytes);
}

}  // namespace tailgate
