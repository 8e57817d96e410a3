// SPDX-License-Identifier: Apache-2.0
#include "web/fleet/fleet_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <future>
#include <map>
#include <set>

#include "base/units.h"

namespace tailgate {
namespace {

using Ask = StoreQuestion::Ask;

constexpr std::size_t kTraceBytes = 512;  // of the other members of a trace's JSON

// A trace that cannot be read, or is another one, would hide the good parts of it.
Result<StoreAnswer> read_good_answer(std::string_view body) {
  Result<StoreAnswer> answer = read_store_answer(body);
  if (!answer) return answer;
  for (const StoredTrace& one : answer->traces) {
    const Result<TraceView> view = TraceView::read(one.otlp);
    if (!view || view->id() != one.id.view())
      return fail(ErrorKind::kBadInput, fmt::format("the bytes of trace {} are not that trace", one.id.hex()));
  }
  return answer;
}

// What came of a question to all others.
struct Heard {
  std::vector<StoreAnswer> answers;
  std::string silent;  // "b (no answer in time), c (...)"; empty: all answered
};

// Asks, and returns what waits for the answers, once: they may be long, so they are moved out.
std::function<MemberAnswers()> begin_asking(const OtherMembers& others, const PageQuestion& question) {
  // The promise lives as long as the callback, which may come when nobody waits any more.
  const auto promise = std::make_shared<std::promise<MemberAnswers>>();
  const auto answers = std::make_shared<std::future<MemberAnswers>>(promise->get_future());
  others.ask([question](const std::string&) { return question; },
             [promise](MemberAnswers all) { promise->set_value(std::move(all)); });
  const TimePoint until = monotonic_now() + others.timeout + others.slack;
  return [answers, until]() -> MemberAnswers {
    // The end of the daemon may take the callback with it.
    if (answers->wait_until(until) != std::future_status::ready)
      return {{"the others", std::nullopt, "no answer in time"}};
    return answers->get();
  };
}

Heard ask(const OtherMembers& others, const StoreQuestion& question) {
  Heard out;
  const auto silent = [&](const std::string& member, std::string_view why) {
    out.silent += fmt::format("{}{} ({})", out.silent.empty() ? "" : ", ", member, why);
  };
  for (MemberAnswer& one :
       begin_asking(others, {"POST", std::string(kStoreQuestions), write_store_question(question)})()) {
    if (!one.answer) {
      silent(one.member, one.error);
    } else if (one.answer->status != 200) {
      silent(one.member, fmt::format("status {}: {}", one.answer->status, one.answer->body.substr(0, 200)));
    } else if (Result<StoreAnswer> answer = read_good_answer(one.answer->body)) {
      out.answers.push_back(std::move(*answer));
    } else {
      silent(one.member, answer.error().text);
    }
    one.answer.reset();  // it may be long
  }
  return out;
}

void add_part(StoredTrace& into, StoredTrace&& part) {
  if (into.otlp.empty() || (part.kept && !into.kept)) {
    into = std::move(part);
    return;
  }
  // What a journal has of a trace that somebody has stored is a copy of what came, and the store is nearer to the user.
  if (into.kept != part.kept || into.otlp == part.otlp) return;
  into.start_ns = std::min(into.start_ns, part.start_ns);
  into.end_ns = std::max(into.end_ns, part.end_ns);
  into.spans += part.spans;
  into.errors += part.errors;
  into.parts_lost += part.parts_lost;
  into.otlp += part.otlp;  // `resource_spans` fields, one behind the other
  drop_same_spans(into);
}

template <class T>
Result<std::vector<T>> sorted(Result<std::vector<T>> own, std::vector<std::vector<T>> others, std::size_t limit) {
  if (!own) return own;
  std::set<T> all(own->begin(), own->end());
  for (std::vector<T>& one : others) all.insert(one.begin(), one.end());
  return std::vector<T>{all.begin(), std::next(all.begin(), static_cast<std::ptrdiff_t>(std::min(limit, all.size())))};
}

Result<std::vector<std::string>> with_names(Result<std::vector<std::string>> own, const OtherMembers& others,
                                            const StoreQuestion& question, std::size_t limit) {
  std::vector<std::vector<std::string>> more;
  for (StoreAnswer& one : ask(others, question).answers) more.push_back(std::move(one.names));
  return sorted(std::move(own), std::move(more), limit);
}

PageAnswer refused(const Error& error) { return {http_status_of(error), error.text}; }

// Of a trace, in an answer.
std::size_t answer_bytes(const StoredTrace& trace) {
  return kTraceBytes + trace.otlp.size() + trace.root_service.size() + trace.root_name.size() + trace.policy.size();
}

// The traces that a search finds here, as many as fit into one answer.
Result<StoreAnswer> found_here(StoreReader& own, SearchLimits limits, const StoreQuestion& question,
                               const std::function<bool()>& cancelled) {
  StoreAnswer out;
  const std::size_t most = std::min<std::size_t>(kStoreAnswerMax, question.bytes_max);
  std::size_t bytes = 0, too_large = 0;
  bool full = false;
  limits.elsewhere = {};
  limits.time_max = std::min<Duration>(
      limits.time_max, std::chrono::milliseconds(std::min<std::uint64_t>(question.time_ms, std::uint64_t{86'400'000})));
  Result<SearchOutcome> outcome = find_traces(
      own, question.search, limits, [&] { return full || cancelled(); },
      [&](const FoundTrace& found) {
        const std::size_t more = answer_bytes(found.stored);
        if (more > most) return void(++too_large);
        full = full || bytes + more > most;
        if (full) return;
        bytes += more;
        out.traces.push_back(found.stored);
      });
  if (!outcome) return tl::unexpected(outcome.error());
  out.outcome = std::move(*outcome);
  std::string& cut = out.outcome.cut;
  if (full) cut = fmt::format("The traces found are more than {}, the newest are here.", format_bytes(most));
  if (too_large != 0)
    cut += fmt::format("{}Left out are {} traces of another member that are larger than {} each.",
                       cut.empty() ? "" : " ", too_large, format_bytes(most));
  return out;
}

template <class Value, class Into>
Result<StoreAnswer> answer_of(Result<Value> found, Into into) {
  if (!found) return tl::unexpected(found.error());
  StoreAnswer out;
  out.*into = std::move(*found);
  return out;
}

Result<StoreAnswer> answer_of(StoreReader& own, const SearchLimits& limits, const StoreQuestion& question,
                              const std::function<bool()>& cancelled) {
  switch (question.ask) {
    case Ask::kTrace: {
      Result<StoredTrace> found = own.trace(question.id);
      if (!found) return tl::unexpected(found.error());
      if (found->otlp.size() > kStoreAnswerMax)
        return fail(ErrorKind::kUnavailable,
                    fmt::format("the trace is larger than the {} MiB that members send each other; ask this member",
                                kStoreAnswerMax >> 20));
      StoreAnswer out;
      if (!found->otlp.empty()) out.traces.push_back(std::move(*found));
      return out;
    }
    case Ask::kSearch:
      return found_here(own, limits, question, cancelled);
    case Ask::kServices:
      return answer_of(own.services(question.search.from_ns, question.search.to_ns), &StoreAnswer::names);
    case Ask::kOperations:
      return answer_of(own.operations(question.service, question.kind), &StoreAnswer::operations);
    case Ask::kNames:
      return answer_of(own.attribute_names(question.scope, question.prefix, question.limit), &StoreAnswer::names);
    case Ask::kValues:
      return answer_of(own.attribute_values(question.scope, question.name, question.prefix, question.limit),
                       &StoreAnswer::names);
    case Ask::kDependencies:
      return answer_of(own.dependencies(question.search.from_ns, question.search.to_ns), &StoreAnswer::dependencies);
  }
  return StoreAnswer();
}

StoreQuestion of_times(Ask ask, std::uint64_t from_ns, std::uint64_t to_ns) {
  StoreQuestion out{.ask = ask};
  out.search.from_ns = from_ns;
  out.search.to_ns = to_ns;
  return out;
}

}  // namespace

std::function<std::function<std::string()>(const TraceId&)> explained_by(OtherMembers others) {
  return [others = std::move(others)](const TraceId& id) {
    return [wait = begin_asking(others, {"GET", "/explain/" + id.hex(), ""})] {
      Response best = merge_trace(wait(), JsonForm::kCompact);
      return best.status == 200 ? std::move(best.body) : std::string();
    };
  };
}

PageAnswer answer_store_question(StoreReader& own, const SearchLimits& limits, std::string_view question,
                                 const std::function<bool()>& cancelled) {
  const Result<StoreQuestion> asked = read_store_question(question);
  if (!asked) return refused(asked.error());
  const Result<StoreAnswer> answer = answer_of(own, limits, *asked, cancelled);
  return answer ? PageAnswer{200, write_store_answer(*answer)} : refused(answer.error());
}

FleetStore::FleetStore(std::shared_ptr<StoreReader> own, OtherMembers others,
                       std::function<OtherMembers(Duration)> searching)
    : StoreReader(no_partitions()),
      own_(std::move(own)),
      others_(std::move(others)),
      searching_(std::move(searching)) {}

Result<StoredTrace> FleetStore::trace(const TraceId& id) {
  Heard heard = ask(others_, {.ask = Ask::kTrace, .id = id});
  Result<StoredTrace> own = own_->trace(id);
  StoredTrace out;
  if (own) out = std::move(*own);
  for (StoreAnswer& answer : heard.answers) {
    for (StoredTrace& part : answer.traces) {
      if (part.id == id) add_part(out, std::move(part));
    }
  }
  if (!out.otlp.empty()) return out;
  if (!own) return own;
  if (!heard.silent.empty())
    return fail(ErrorKind::kUnavailable,
                fmt::format("this trace is not stored here, and not all members answered: {}", heard.silent));
  return out;
}

FoundElsewhere FleetStore::elsewhere(const TraceQuestion& question, Duration time_max) {
  const TimePoint until = monotonic_now() + time_max;
  StoreQuestion asked{.ask = Ask::kSearch, .search = question};
  asked.time_ms = static_cast<std::uint64_t>(time_max / std::chrono::milliseconds(1));
  asked.bytes_max = kStoreAnswersMax / std::max<std::size_t>(1, others_.count());
  Heard heard = ask(searching_(time_max), asked);
  FoundElsewhere out;
  std::map<TraceId, StoredTrace> found;
  for (StoreAnswer& answer : heard.answers) {
    for (StoredTrace& one : answer.traces) add_part(found[one.id], std::move(one));
    if (!out.outcome.cut.empty()) answer.outcome.cut.clear();  // one member's words will do
    add(out.outcome, answer.outcome);
  }
  if (!heard.silent.empty()) {
    out.outcome.cut += fmt::format("{}Not all members answered, their traces are missing: {}.",
                                   out.outcome.cut.empty() ? "" : " ", heard.silent);
  }
  for (auto& [id, one] : found) out.traces.push_back(std::move(one));
  std::sort(out.traces.begin(), out.traces.end(), newest_first);
  if (out.traces.size() > question.limit) out.traces.resize(question.limit);
  for (StoredTrace& one : out.traces) {
    if (monotonic_now() > until) break;
    if (Result<StoredTrace> here = own_->stored_trace(one.id); here && !here->otlp.empty())
      add_part(one, std::move(*here));
  }
  std::sort(out.traces.begin(), out.traces.end(), newest_first);
  return out;
}

Result<SearchOutcome> FleetStore::search(const SearchRequest& request,
                                         const std::function<bool(const StoredTrace&)>& take) {
  return own_->search(request, take);
}

Result<std::vector<std::string>> FleetStore::services(std::uint64_t from_ns, std::uint64_t to_ns) {
  return with_names(own_->services(from_ns, to_ns), others_, of_times(Ask::kServices, from_ns, to_ns), SIZE_MAX);
}

Result<std::vector<StoredOperation>> FleetStore::operations(const std::string& service,
                                                            std::optional<std::uint32_t> kind) {
  StoreQuestion question{.ask = Ask::kOperations, .service = service};
  question.kind = kind;
  std::vector<std::vector<StoredOperation>> more;
  for (StoreAnswer& one : ask(others_, question).answers) more.push_back(std::move(one.operations));
  return sorted(own_->operations(service, kind), std::move(more), SIZE_MAX);
}

Result<std::vector<std::string>> FleetStore::attribute_names(std::optional<AttributeScope> scope,
                                                             const std::string& prefix, std::size_t limit) {
  StoreQuestion question{.ask = Ask::kNames, .prefix = prefix};
  question.scope = scope;
  question.limit = limit;
  return with_names(own_->attribute_names(scope, prefix, limit), others_, question, limit);
}

Result<std::vector<std::string>> FleetStore::attribute_values(std::optional<AttributeScope> scope,
                                                              const std::string& name, const std::string& prefix,
                                                              std::size_t limit) {
  StoreQuestion question{.ask = Ask::kValues, .name = name, .prefix = prefix};
  question.scope = scope;
  question.limit = limit;
  return with_names(own_->attribute_values(scope, name, prefix, limit), others_, question, limit);
}

Result<std::vector<StoredDependency>> FleetStore::dependencies(std::uint64_t from_ns, std::uint64_t to_ns) {
  Result<std::vector<StoredDependency>> own = own_->dependencies(from_ns, to_ns);
  if (!own) return own;
  std::map<std::pair<std::string, std::string>, std::uint64_t> sums;
  const auto add = [&](const std::vector<StoredDependency>& more) {
    for (const StoredDependency& one : more) sums[{one.parent, one.child}] += one.calls;
  };
  add(*own);
  for (const StoreAnswer& one : ask(others_, of_times(Ask::kDependencies, from_ns, to_ns)).answers)
    add(one.dependencies);
  std::vector<StoredDependency> out;
  for (const auto& [services, calls] : sums) out.push_back({services.first, services.second, calls});
  return out;
}

Result<StoreStatus> FleetStore::status() { return own_->status(); }

}  // namespace tailgate
