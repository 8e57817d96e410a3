// SPDX-License-Identifier: Apache-2.0
#include "daemon/decide.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <utility>

#include "base/input.h"
#include "buffer/offline.h"
#include "codec/json_text.h"
#include "wire/otlp/json_read.h"

namespace tailgate {
namespace {

constexpr int kDone = 0, kJudgedBad = 1, kCannotOpen = 3;

class Input {
 public:
  explicit Input(OfflineJudge& judge) : judge_(judge) {}

  void add(const std::string& name, const std::string& content) {
    const std::string_view text = content;
    if (text.starts_with("\x1f\x8b"))
      return problem(name, "expected OTLP, got gzip: `zcat FILE | tailgate decide ... -`");
    // Blanks and a byte order mark before the `{` are JSON's too, but a line feed is also how a TracesData begins, and
    // its length may look like a `{`: protobuf goes first then.
    const std::size_t from = text.starts_with("\xef\xbb\xbf") ? 3 : 0;
    const std::size_t first = std::min(text.find_first_not_of(" \t\r\n", from), text.size());
    const bool maybe_json = first < text.size() && text[first] == '{';
    if (!maybe_json || first != 0) {
      const ScanResult result = judge_.add(content);
      if (result.ok || !maybe_json) return report(name, result, !content.empty());
    }
    std::size_t line = 0;
    bool first_line = true;
    for (std::size_t at = from; at < text.size();) {
      const std::size_t end = std::min(text.find('\n', at), text.size());
      const std::string_view one = text.substr(at, end - at);
      at = end + 1;
      ++line;
      if (one.find_first_not_of(" \t\r") == std::string_view::npos) continue;
      const std::string where = fmt::format("{}:{}", name, line);
      Result<OtlpFromJson> otlp = otlp_json_to_proto(one);
      if (!otlp && std::exchange(first_line, false)) {  // one object over many lines, as tools print it for people
        if (Result<OtlpFromJson> whole = otlp_json_to_proto(text.substr(from))) return add_json(name, *whole);
      }
      first_line = false;
      if (otlp) {
        add_json(where, *otlp);
      } else {
        problem(where, otlp.error().text);
      }
    }
  }

  bool all_good() const { return all_good_; }

 private:
  void add_json(const std::string& where, OtlpFromJson& otlp) {
    if (otlp.repaired_texts != 0) {
      fmt::print(stderr, "{}: {} text{} not Unicode and read with U+FFFD\n", where, otlp.repaired_texts,
                 otlp.repaired_texts == 1 ? " is" : "s are");
    }
    const bool holds_something = !otlp.bytes.empty() || !otlp.unknown_field.empty();
    report(where, judge_.add(std::move(otlp.bytes)), holds_something, otlp.unknown_field);
  }

  // `holds_something`: it should then hold a span.
  void report(const std::string& where, const ScanResult& result, bool holds_something,
              const std::string& unknown_field = {}) {
    if (!result.ok) return problem(where, result.error);
    if (result.spans == 0 && holds_something) {
      if (unknown_field.empty()) return problem(where, "holds no spans");
      return problem(where, fmt::format("holds no spans, and its field '{}' is not known", unknown_field));
    }
    if (result.bad_ids == 0) return;
    const std::string_view plural = result.bad_ids == 1 ? "" : "s";
    problem(where, fmt::format("{} span{} left out, first: {}", result.bad_ids, plural, result.first_bad_id));
  }

  void problem(const std::string& where, std::string_view what) {
    fmt::print(stderr, "{}: {}\n", where, what);
    all_good_ = false;
  }

  OfflineJudge& judge_;
  bool all_good_ = true;
};

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
  // Policies are asked in an order of their own; people look for that of the file.
  Lines(const DaemonConfig& config, NamesTable& names) : names_(names) {
    std::size_t i = 0;
    for (const ConfigNode& policy : config.sampling.policies) {
      place_.try_emplace(names.number_of(policy.text("name")), i++);
    }
  }

  void append(OfflineTrace& trace, std::string& out) const {
    std::stable_sort(trace.votes.begin(), trace.votes.end(), [&](const OfflineVote& a, const OfflineVote& b) {
      return place_.at(a.policy) < place_.at(b.policy);
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

  const NamesTable& names_;
  std::map<std::uint16_t, std::size_t> place_;  // policy number to its place in the configuration
};

}  // namespace

int decide_files(const DaemonConfig& config, const Assembly& parts, const std::vector<std::string>& files) {
  OfflineJudge judge(parts.policies, parts.store.limits);
  Input input(judge);
  for (const std::string& name : files) {
    Result<std::string> content = read_input(name);
    if (!content) {
      fmt::print(stderr, "{}\n", content.error().text);
      return kCannotOpen;
    }
    input.add(name, *content);
  }

  const Lines lines(config, parts.tables->names);
  std::string text;
  std::vector<OfflineTrace> traces = judge.finish();
  for (std::size_t i = 0; i < traces.size(); ++i) {
    lines.append(traces[i], text);
    if (text.size() < (1 << 16) && i + 1 != traces.size()) continue;
    std::fwrite(text.data(), 1, text.size(), stdout);
    text.clear();
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    fmt::print(stderr, "standard output: {}\n", std::strerror(errno));
    return kCannotOpen;
  }
  return input.all_good() ? kDone : kJudgedBad;
}

}  // namespace tailgate
