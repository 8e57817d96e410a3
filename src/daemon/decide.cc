// SPDX-License-Identifier: Apache-2.0
#include "daemon/decide.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <system_error>

#include "base/input.h"
#include "buffer/offline.h"
#include "codec/json_text.h"
#include "config/yaml_value.h"
#include "daemon/cli.h"
#include "daemon/decide_input.h"
#include "decide/words.h"

namespace tailgate {
namespace {

std::string_view name_of(Vote vote) {
  switch (vote) {
    case Vote::kSampled:
      return "sampled";
    case Vote::kDropped:
      return "dropped";
    case Vote::kNotSampled:
      return "not_sampled";
    case Vote::kNotAsked:
    case Vote::kPending:
      break;
  }
  return "not_asked";  // not in what the judge gives
}

class Lines {
 public:
  // Policies are asked in an order of their own, but people look for the order of the file. Our own policy `_debug` is
  // in no file and comes first.
  Lines(const DaemonConfig& config, NamesTable& names) : names_(names) {
    std::size_t i = 0;
    for (const ConfigNode& policy : config.sampling.policies) {
      place_.try_emplace(names.number_of(policy.text("name")), ++i);
    }
  }

  void append(OfflineTrace& trace, std::string& out) const {
    std::stable_sort(trace.votes.begin(), trace.votes.end(), [&](const OfflineVote& a, const OfflineVote& b) {
      return place_of(a.policy) < place_of(b.policy);
    });
    out += R"({"trace_id":)";
    append_json_string(out, trace.id.hex());
    out += R"(,"verdict":)";
    append_json_string(out, kDecisionNames[static_cast<std::size_t>(trace.verdict.decision)]);
    out += R"(,"policy":)";
    append_or_null(out, trace.verdict.policy == 0 ? "" : names_.name_of(trace.verdict.policy));
    out += R"(,"close_reason":)";
    append_json_string(out, kCloseReasonNames[static_cast<std::size_t>(trace.verdict.reason)]);
    out += R"(,"votes":[)";
    for (const OfflineVote& vote : trace.votes) {
      out += out.back() == '[' ? R"({"policy":)" : R"(,{"policy":)";
      append_json_string(out, names_.name_of(vote.policy));
      out += R"(,"vote":)";
      append_json_string(out, name_of(vote.vote));
      out += R"(,"span_id":)";
      append_or_null(out, vote.span ? vote.span->hex() : "");
      out += R"(,"attribute":)";
      append_or_null(out, vote.attribute);
      out += R"(,"why":)";
      append_json_string(out, vote.why);
      out += '}';
    }
    out += "]}\n";
  }

 private:
  static void append_or_null(std::string& out, const std::string& text) {
    if (text.empty()) {
      out += "null";
    } else {
      append_json_string(out, text);
    }
  }

  std::size_t place_of(std::uint16_t policy) const {
    const auto it = place_.find(policy);
    return it != place_.end() ? it->second : 0;
  }

  const NamesTable& names_;
  std::map<std::uint16_t, std::size_t> place_;  // policy number to its place in the configuration, from 1
};

// How many traces had which verdict, in all and by policy, as a table.
std::string summary_of(const std::vector<OfflineTrace>& traces, const PolicySet& policies, const NamesTable& names) {
  struct Row {
    std::uint64_t decided = 0;  // kept or dropped in its name
    std::array<std::uint64_t, 3> votes{};
  };
  std::map<std::uint16_t, Row> rows;
  std::array<std::uint64_t, kDecisionNames.size()> verdicts{};
  std::uint64_t spans = 0, kept_spans = 0;
  for (const OfflineTrace& trace : traces) {
    ++verdicts[static_cast<std::size_t>(trace.verdict.decision)];
    spans += trace.facts.spans;
    if (trace.verdict.decision == Decision::kSampled) kept_spans += trace.facts.spans;
    if (trace.verdict.policy != 0) ++rows[trace.verdict.policy].decided;
    for (const OfflineVote& vote : trace.votes) {
      ++rows[vote.policy].votes[vote.vote == Vote::kSampled ? 0 : vote.vote == Vote::kNotSampled ? 1 : 2];
    }
  }
  std::string out =
      fmt::format("{}: {} sampled, {} not_sampled, {} dropped; {} of {} spans sampled\n",
                  count_words(traces.size(), "trace"), verdicts[0], verdicts[1], verdicts[2], kept_spans, spans);
  const auto name_of = [&](std::uint16_t policy) { return single_line(names.name_of(policy)); };
  std::size_t width = std::string_view("policy").size();
  for (std::size_t i = 0; i < policies.size(); ++i) rows[policies.number_of(i)];
  for (const auto& [policy, row] : rows) width = std::max(width, name_of(policy).size());
  out += fmt::format("\n{:{}}  {:>10}  {:>13}  {:>17}  {:>13}\n", "policy", width, "decided", "votes sampled",
                     "votes not_sampled", "votes dropped");
  for (const auto& [policy, row] : rows) {
    out += fmt::format("{:{}}  {:>10}  {:>13}  {:>17}  {:>13}\n", name_of(policy), width, row.decided, row.votes[0],
                       row.votes[1], row.votes[2]);
  }
  return out;
}

int flushed(bool all_good) {
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    fmt::print(stderr, "standard output: {}\n", std::strerror(errno));
    return exit_with::kCannotOpen;
  }
  return all_good ? exit_with::kDone : exit_with::kJudgedBad;
}

}  // namespace

int decide_files(const DaemonConfig& config, const Assembly& parts, const std::vector<std::string>& files,
                 bool summary) {
  OfflineJudge judge(parts.policies, parts.store.limits);
  DecideInput input(judge);
  for (const std::string& name : files) {
    Result<std::string> content = read_input(name);
    if (!content) {
      fmt::print(stderr, "{}\n", content.error().text);
      return exit_with::kCannotOpen;
    }
    input.add(name, *content);
  }

  const bool all_good = input.finish();
  std::vector<OfflineTrace> traces = judge.finish();
  std::string text;
  if (summary && !traces.empty()) text = summary_of(traces, *parts.policies, parts.tables->names);
  if (summary) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    return flushed(all_good);
  }
  const Lines lines(config, parts.tables->names);
  for (std::size_t i = 0; i < traces.size(); ++i) {
    lines.append(traces[i], text);
    if (text.size() < (1 << 16) && i + 1 != traces.size()) continue;
    std::fwrite(text.data(), 1, text.size(), stdout);
    text.clear();
  }
  return flushed(all_good);
}

// The file itself is named as a policy file, so that errors point into it.
ConfigSource with_bare_policies(const ConfigSource& source) {
  std::error_code ec;
  if (!std::filesystem::is_regular_file(source.path, ec)) return source;  // a pipe can be read once only
  const Result<ConfigDocument> document = load_config_file(source.path);
  if (!document) return source;
  const ConfigNode& root = document->root;
  if (!root.has("policies") || root.has("sampling") || root.has("receivers") || root.has("exporters")) return source;
  ConfigSource around = source;
  around.text = fmt::format(
      "{{receivers: {{otlp: {{protocols: {{grpc: {{}}}}}}}}, exporters: {{debug: {{}}}}, sampling: {{policy_files: "
      "[{}]}}}}",
      json_quoted(std::filesystem::absolute(source.path).string()));
  return around;
}

}  // namespace tailgate
