// SPDX-License-Identifier: Apache-2.0
#include "daemon/query.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <vector>

#include "base/units.h"
#include "buffer/store/stamp.h"
#include "codec/json_text.h"
#include "config/yaml_value.h"
#include "daemon/journal/journal_link.h"
#include "journal/history.h"
#include "web/json_page.h"
#include "web/trace_search.h"
#include "wire/otlp/json_write.h"

namespace tailgate {
namespace {

constexpr int kFound = 0, kBad = 1, kNothing = 4;
constexpr std::size_t kBarWidth = 40, kDepthMax = 20;
constexpr std::string_view kVerdictKey = "tailgate.verdict", kUnknown = "unknown";

std::string duration_text(std::uint64_t ns) {
  if (ns < 1'000'000) return fmt::format("{:.0f}us", static_cast<double>(ns) / 1e3);
  if (ns < 1'000'000'000) return fmt::format("{:.1f}ms", static_cast<double>(ns) / 1e6);
  return fmt::format("{:.2f}s", static_cast<double>(ns) / 1e9);
}

// The part of a text from outside that may be sent to a terminal, in at most `width` bytes.
std::string shown(ByteView text, std::size_t width) {
  std::string out = single_line(std::string(text));
  if (out.size() > width) out = out.substr(0, width - 3) + "...";
  return out;
}

std::string table_head() {
  return fmt::format("{:24}  {:32}  {:>9}  {:>6}  {:>6}  {}\n", "start", "trace", "duration", "spans", "errors",
                     "root");
}

std::string table_row(const TraceId& id, const TraceView& view) {
  return fmt::format("{:24}  {}  {:>9}  {:>6}  {:>6}  {} {}\n", iso_time(view.start_ns()), id.hex(),
                     duration_text(view.duration_ns()), view.spans().size(), view.errors(),
                     shown(view.root_service(), 40), shown(view.root_name(), 60));
}

// `verdict`: of a trace out of a journal; empty: it is stored.
std::string json_row(const StoredTrace& stored, const TraceView& view, std::string_view verdict = {}) {
  std::string out = "{";
  const auto add = [&out](std::string_view key, std::string_view value) {
    out += out.size() == 1 ? "\"" : ",\"";
    out.append(key).append("\":");
    append_json_string(out, value);
  };
  add("trace_id", stored.id.hex());
  add("root_service", view.root_service());
  add("root_name", view.root_name());
  add("start", iso_time(view.start_ns()));
  add("policy", stored.policy);
  if (!verdict.empty()) add("verdict", verdict);
  out += fmt::format(R"(,"start_ns":"{}","duration_ns":"{}","spans":{},"errors":{}}})", view.start_ns(),
                     view.duration_ns(), view.spans().size(), view.errors());
  return out += '\n';
}

// What became of it, for people.
std::string fate_text(const StoredTrace& stored, std::string_view verdict) {
  if (verdict == kUnknown) return "no verdict known";
  if (!verdict.empty() && verdict != kDecisionNames[0]) return fmt::format("not kept ({})", verdict);
  return fmt::format("kept by {}", stored.policy.empty() ? "?" : shown(stored.policy, 60));
}

// The spans as a tree with bars, in the order in which they began.
std::string waterfall(const StoredTrace& stored, const TraceView& view, std::string_view verdict) {
  std::string out = fmt::format("{} {}  {}  {} spans, {} errors, {}\n{}\n\n", shown(view.root_service(), 40),
                                shown(view.root_name(), 60), duration_text(view.duration_ns()), view.spans().size(),
                                view.errors(), fate_text(stored, verdict), stored.id.hex());
  const std::uint64_t start = view.start_ns(), total = std::max<std::uint64_t>(1, view.duration_ns());
  struct Place {
    std::uint32_t span;
    std::size_t depth;
  };
  std::vector<Place> todo;
  for (std::size_t i = view.spans().size(); i-- > 0;) {
    if (view.spans()[i].parent == TraceView::kNone) todo.push_back({static_cast<std::uint32_t>(i), 0});
  }
  while (!todo.empty()) {
    const Place at = todo.back();
    todo.pop_back();
    const TraceView::Span& span = view.spans()[at.span];
    const std::size_t first_child = todo.size();
    for (std::uint32_t child = span.first_child; child != TraceView::kNone; child = view.spans()[child].next_sibling)
      todo.push_back({child, at.depth + 1});
    std::reverse(todo.begin() + static_cast<std::ptrdiff_t>(first_child), todo.end());
    const auto column = [&](std::uint64_t ns) {
      return std::min<std::size_t>(
          kBarWidth - 1, static_cast<std::size_t>(static_cast<double>(ns) / static_cast<double>(total) * kBarWidth));
    };
    const std::size_t from = column(span.start_ns > start ? span.start_ns - start : 0);
    const std::size_t to =
        std::max(from, column((span.start_ns > start ? span.start_ns - start : 0) + span.duration_ns));
    const std::string bar = std::string(from, ' ') + std::string(to - from + 1, span.status_code == 2 ? '!' : '=');
    const std::string name = std::string(2 * std::min(at.depth, kDepthMax), ' ') + shown(view.service_of(span), 30) +
                             " " + shown(span.name, 60);
    out += fmt::format("{:60} |{:{}}| {:>9}{}\n", shown(name, 60), bar, kBarWidth, duration_text(span.duration_ns),
                       span.status_code == 2 ? "  error" : "");
  }
  return out;
}

int bad(const std::string& text) {
  fmt::print(stderr, "{}\n", text);
  return kBad;
}

std::string otlp_row(const StoredTrace& stored) {
  std::string out;
  append_otlp_json(out, stored.otlp);
  return out += '\n';
}

struct Found {
  StoredTrace trace;    // without spans: it is not there
  std::string verdict;  // of one that is not stored
  std::string missing;  // why there may be more of it, as a sentence
};

std::string missing_of(const PastTrace& past, const TraceId& id) {
  std::string out;
  if (past.damaged != 0)
    out =
        fmt::format("{} places of the journal cannot be read, and may have spans of trace {}.", past.damaged, id.hex());
  if (past.cut)
    out += fmt::format("{}It is larger than {}, and cut there.", out.empty() ? "" : " ",
                       format_bytes(FindPast::kBytesMax));
  return out;
}

Result<Found> trace_in_journal(const std::string& directory, const TraceId& id) {
  const Result<Journal::Extent> extent = Journal::extent_of(directory);
  if (!extent) return tl::unexpected(extent.error());
  const Result<std::vector<std::uint64_t>> numbers = segment_numbers(directory);
  if (!numbers || numbers->empty())
    return fail(ErrorKind::kBadInput, fmt::format("'{}' has no files of a journal", directory));
  PastTrace past = find_past({.directory = directory, .segments = extent->segments}, id);
  Found out;
  out.missing = missing_of(past, id);
  if (past.spans == 0) return out;
  std::optional<Verdict> verdict;  // the last
  const PolicyNames names;
  JournalHistory history;
  for (const std::uint64_t segment : *numbers) {
    history.pass(directory, segment, names, [&](const TraceId& decided, const Verdict& v) {
      if (decided == id) verdict = v;
    });
  }
  out.verdict = verdict ? kDecisionNames[static_cast<std::size_t>(verdict->decision)] : kUnknown;
  out.trace = stored_of_past(id, std::move(past), out.verdict);
  if (verdict && verdict->decision == Decision::kSampled) out.trace.policy = names.name_of(verdict->policy);
  return out;
}

Result<Found> find_trace(const QueryArguments& arguments, const TraceId& id) {
  if (!arguments.store.empty()) {
    const Result<std::unique_ptr<StoreReader>> store = open_store(arguments.store);
    if (!store) return tl::unexpected(store.error());
    Result<StoredTrace> stored = (*store)->trace(id);
    if (!stored) return tl::unexpected(stored.error());
    const std::string missing = stored->parts_lost != 0 ? parts_lost_text(*stored) : "";
    if (!stored->otlp.empty() || arguments.journal.empty()) return Found{std::move(*stored), {}, missing};
  }
  return trace_in_journal(arguments.journal, id);
}

int one_trace(const QueryArguments& arguments, const std::string& format) {
  const TraceId id = *TraceId::from_short_hex(arguments.trace_id);
  const Result<Found> found = find_trace(arguments, id);
  if (!found) return bad(found.error().text);
  const StoredTrace& trace = found->trace;
  if (trace.otlp.empty()) {
    fmt::print(stderr, "trace {} is not in the {}\n", id.hex(),
               arguments.journal.empty() ? "store"
               : arguments.store.empty() ? "journal"
                                         : "store and not in the journal");
    if (!found->missing.empty()) fmt::print(stderr, "{}\n", found->missing);
    return kNothing;
  }
  const Result<TraceView> view = TraceView::read(trace.otlp);
  if (!view) return bad(view.error().text);
  const std::string out = format == "table"  ? waterfall(trace, *view, found->verdict)
                          : format == "json" ? json_row(trace, *view, found->verdict)
                                             : otlp_row(trace);
  std::fwrite(out.data(), 1, out.size(), stdout);
  if (!found->missing.empty()) fmt::print(stderr, "{}\n", found->missing);
  return std::fflush(stdout) == 0 ? kFound : kBad;
}

}  // namespace

std::string wrong_with(const QueryArguments& arguments) {
  if (arguments.store.empty() && arguments.journal.empty())
    return "query wants --store DIR, the directory of a store exporter, or --journal DIR, that of a journal";
  if (!arguments.journal.empty() && arguments.trace_id.empty())
    return "query finds traces in a journal by their id alone: --journal DIR --trace ID";
  if (arguments.traceql.empty() == arguments.trace_id.empty()) return "query wants a query in TraceQL, or --trace ID";
  if (arguments.trace_id.empty()) return "";
  if (TraceId::from_short_hex(arguments.trace_id)) return "";
  return fmt::format("--trace wants 1 to 32 hex digits, not all zero, got '{}'", arguments.trace_id);
}

StoredTrace stored_of_past(const TraceId& id, PastTrace&& found, std::string_view verdict) {
  StoredTrace out;
  out.id = id;
  out.kept = false;
  out.otlp = with_scope_text(found.otlp, kVerdictKey, verdict);
  out.start_ns = found.facts.first_start_ns();
  out.end_ns = found.facts.end_max_ns;
  out.spans = found.spans;
  out.errors = found.facts.errors;
  out.root_service = std::move(found.root_service);
  out.root_name = std::move(found.root_name);
  out.parts_lost = found.damaged + (found.cut ? 1 : 0);
  return out;
}

int query_traces(const QueryArguments& arguments) {
  const std::string format = !arguments.format.empty() ? arguments.format : ::isatty(STDOUT_FILENO) ? "table" : "json";
  TraceQuestion question;
  if (!arguments.traceql.empty()) {
    Result<traceql::Query> parsed = traceql::parse_query(arguments.traceql);
    if (!parsed) return bad(parsed.error().text);
    question.query = std::move(*parsed);
  }
  if (!arguments.trace_id.empty()) return one_trace(arguments, format);
  const Result<std::unique_ptr<StoreReader>> store = open_store(arguments.store);
  if (!store) return bad(store.error().text);
  const std::uint64_t now = wall_now_ns();
  const auto since = static_cast<std::uint64_t>(arguments.since.count());
  question.from_ns = since < now ? now - since : 0;
  question.limit = arguments.limit;
  SearchLimits limits;
  limits.time_max = std::chrono::minutes(1);
  limits.bytes_max = UINT64_MAX;
  limits.steps_max = UINT64_MAX;
  std::size_t found = 0;
  const Result<SearchOutcome> outcome = find_traces(
      **store, question, limits, [] { return false; },
      [&](const FoundTrace& one) {
        std::string out = format == "table" && found == 0 ? table_head() : "";
        out += format == "table"  ? table_row(one.stored.id, one.view)
               : format == "json" ? json_row(one.stored, one.view)
                                  : otlp_row(one.stored);
        std::fwrite(out.data(), 1, out.size(), stdout);
        ++found;
      });
  if (std::fflush(stdout) != 0) return kBad;
  if (!outcome) return bad(outcome.error().text);
  if (!outcome->cut.empty()) fmt::print(stderr, "the search was cut short: {}\n", outcome->cut);
  if (!outcome->damaged_files.empty()) fmt::print(stderr, "{}\n", outcome->damage());
  if (found == 0) fmt::print(stderr, "no trace of the last {} matches\n", format_duration(arguments.since));
  return found != 0 ? kFound : kNothing;
}

}  // namespace tailgate
