// SPDX-License-Identifier: Apache-2.0
#include "daemon/policy_trial.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "buffer/offline.h"
#include "codec/json_text.h"
#include "config/config_file.h"
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

// A condition in the policy that takes it. In YAML's double quotes; a dollar would begin a reference.
std::string policy_of(std::string_view form, const std::string& condition) {
  std::string quoted;
  for (const char c : json_quoted(condition)) quoted.append(c == '$' ? 2 : 1, c);
  return form == "span" ? fmt::format("{{name: tried, type: ottl_condition, ottl_condition: {{span: [{}]}}}}", quoted)
                        : fmt::format("{{name: tried, type: trace, trace: {{condition: {}}}}}", quoted);
}

std::vector<ConfigNode> policies_in(const ConfigNode& root) {
  if (root.is_list()) return root.items();
  if (root.has("policies")) return root.child("policies").items();
  return {root};
}

}  // namespace

Result<std::unique_ptr<PolicyTrial>> make_policy_trial(std::string_view form, const std::string& text,
                                                       const BufferLimits& limits) {
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
  return std::make_unique<OfflineTrial>(std::move(policies), std::move(tables), limits);
}

}  // namespace tailgate
