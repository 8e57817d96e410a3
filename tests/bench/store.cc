// SPDX-License-Identifier: Apache-2.0
// How fast a large store answers: fills a directory with generated traces of one day and asks what people ask.
//
//   store [--spans 10000000] [--directory DIR] [--questions 300]
//   store --write 2000000
//
// With --write it stores so many spans of the load test's large shape, with --like-sdk, asks nothing, and says what the
// writing cost: the part of a kept span's cost that is the store's, without a daemon around it.
// A directory that is there already is asked again without being filled. Prints p50 and p99 of each question, each with
// other values than the one before; the files are in the page cache as far as the machine's memory goes.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/units.h"
#include "codec/protobuf.h"
#include "store/reader.h"
#include "store/store.h"
#include "support/random_otlp.h"
#include "traceql/query.h"
#include "traffic.h"
#include "web/trace_search.h"
#include "wire/otlp/schema.h"
#include "wire/otlp/split.h"

using namespace tailgate;

namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kFirst = 1'790'000'000 * kSecond, kDay = 86'400 * kSecond, kHour = 3'600 * kSecond;
constexpr std::size_t kSpansPerTrace = 10, kServices = 20, kUsers = 1'000'000;

void append_fixed64(std::string& out, std::uint32_t field, std::uint64_t value) {
  out.push_back(static_cast<char>(pb::tag_of(field, pb::kFixed64)));
  append_le(out, value);
}

void append_varint(std::string& out, std::uint32_t field, std::uint64_t value) {
  out.push_back(static_cast<char>(pb::tag_of(field, pb::kVarint)));
  pb::append_varint(out, value);
}

void append_attribute(std::string& out, std::uint32_t field, std::string_view key, std::string_view text) {
  std::string value, pair;
  pb::append_len(value, otlp::any_value::kString, text);
  pb::append_len(pair, otlp::key_value::kKey, key);
  pb::append_len(pair, otlp::key_value::kValue, value);
  pb::append_len(out, field, pair);
}

void append_number(std::string& out, std::uint32_t field, std::string_view key, std::uint64_t number) {
  std::string value, pair;
  append_varint(value, otlp::any_value::kInt, number);
  pb::append_len(pair, otlp::key_value::kKey, key);
  pb::append_len(pair, otlp::key_value::kValue, value);
  pb::append_len(out, field, pair);
}

std::string id_of(std::uint64_t n) {
  std::uint64_t words[2] = {n * 0x9e3779b97f4a7c15ULL, (n + 1) * 0xbf58476d1ce4e5b9ULL};
  return {reinterpret_cast<const char*>(words), 16};
}

std::string user(std::uint64_t n) { return fmt::format("user-{:06}", n % kUsers); }

// Trace `n`: a root in one service and calls to two others. One in a hundred fails with 500, one in fifty takes more
// than a second.
KeptTracePtr make_trace(std::uint64_t n, std::uint64_t start, test::Random& r) {
  auto trace = std::make_shared<KeptTrace>();
  const std::string id = id_of(n);
  const bool failed = r.below(100) == 0;
  const std::uint64_t took = (r.below(50) == 0 ? 1'100 + r.below(3'000) : 20 + r.below(600)) * 1'000'000;
  const std::string who = user(r.below(kUsers));
  std::array<std::string, 3> scopes;
  const std::uint64_t first_service = r.below(kServices);
  for (std::size_t i = 0; i != kSpansPerTrace; ++i) {
    std::string span, spanid(id.substr(0, 8)), status;
    spanid[0] = static_cast<char>(i + 1);
    pb::append_len(span, otlp::span::kTraceId, id);
    pb::append_len(span, otlp::span::kSpanId, spanid);
    if (i != 0) {
      spanid[0] = static_cast<char>(i / 3 + 1);
      pb::append_len(span, otlp::span::kParentSpanId, spanid);
    }
    pb::append_len(span, otlp::span::kName, fmt::format("GET /api/{}", (first_service * 10 + i) % 200));
    append_varint(span, otlp::span::kKind, i % 2 == 0 ? 2 : 3);
    append_fixed64(span, otlp::span::kStartTime, start + i * took / 20);
    append_fixed64(span, otlp::span::kEndTime, start + took - i * took / 20);
    append_attribute(span, otlp::span::kAttributes, "http.request.method", "GET");
    append_attribute(span, otlp::span::kAttributes, "http.route",
                     fmt::format("/api/{}", (first_service * 10 + i) % 200));
    append_number(span, otlp::span::kAttributes, "http.response.status_code", failed && i < 3 ? 500 : 200);
    append_attribute(span, otlp::span::kAttributes, "user.id", who);
    if (failed && i < 3) {
      append_varint(status, otlp::status::kCode, 2);
      pb::append_len(span, otlp::span::kStatus, status);
    }
    pb::append_len(scopes[i * 3 / kSpansPerTrace], otlp::scope_spans::kSpans, span);
  }
  for (std::size_t s = 0; s != scopes.size(); ++s) {
    std::string resource, resource_spans;
    const std::string service = fmt::format("service-{}", (first_service + s) % kServices);
    append_attribute(resource, otlp::resource::kAttributes, "service.name", service);
    append_attribute(resource, otlp::resource::kAttributes, "deployment.environment", "prod");
    pb::append_len(resource_spans, otlp::resource_spans::kResource, resource);
    pb::append_len(resource_spans, otlp::resource_spans::kScopeSpans, scopes[s]);
    pb::append_len(trace->otlp, otlp::request::kResourceSpans, resource_spans);
    if (s == 0) trace->root_service = service;
  }
  trace->id = TraceId::from(id.data());
  trace->start_ns = start;
  trace->end_ns = start + took;
  trace->errors = failed ? 3 : 0;
  trace->root_name = fmt::format("GET /api/{}", first_service * 10 % 200);
  trace->has_root = true;
  trace->policy = failed ? "errors" : "baseline";
  trace->spans = kSpansPerTrace;
  return trace;
}

int bad(const Error& error) {
  fmt::print(stderr, "store: {}\n", error.text);
  return 1;
}

Result<void> fill(const std::string& directory, std::uint64_t spans) {
  std::vector<std::string> notices;
  StoreOptions options{.directory = directory};
  options.bytes_max = std::uint64_t{1} << 40;
  auto store = Store::open(options, kFirst, notices);
  if (!store) return tl::unexpected(store.error());
  test::Random r(7);
  const std::uint64_t traces = spans / kSpansPerTrace, step = kDay / traces;
  std::vector<KeptTracePtr> batch;
  std::uint64_t otlp = 0;
  Duration storing = Duration::zero(), worst = Duration::zero();
  const std::clock_t cpu = std::clock();
  std::clock_t making = 0;
  for (std::uint64_t n = 0; n != traces; ++n) {
    const std::clock_t made = std::clock();
    batch.push_back(make_trace(n, kFirst + n * step, r));
    making += std::clock() - made;
    otlp += batch.back()->otlp.size();
    if (batch.size() != 2'000 && n + 1 != traces) continue;
    const TimePoint begin = monotonic_now();
    if (auto done = (*store)->append(batch, kFirst + n * step); !done) return done;
    storing += monotonic_now() - begin;
    worst = std::max(worst, monotonic_now() - begin);
    batch.clear();
  }
  const double cpu_s = static_cast<double>(std::clock() - cpu - making) / CLOCKS_PER_SEC;
  const double millions = static_cast<double>(spans) / 1e6;
  fmt::print(
      "stored {:.1f} M spans of {} B in {:.0f} s: {:.2f} CPU s per million, worst commit {:.0f} ms, {:.3f} of the "
      "OTLP bytes on disk\n",
      millions, otlp / spans, std::chrono::duration<double>(storing).count(), cpu_s / millions,
      std::chrono::duration<double, std::milli>(worst).count(),
      static_cast<double>((*store)->counts().bytes) / static_cast<double>(otlp));
  return {};
}

// The traces of a pool of the load test, framed as the daemon frames them; their ids are those of the pool.
std::vector<std::shared_ptr<KeptTrace>> load_traces() {
  bench::Shape shape = bench::kLarge;
  shape.like_sdk = true;
  std::vector<std::shared_ptr<KeptTrace>> out;
  for (const bench::Group& group : bench::make_pool(shape, 200, 1)) {
    std::vector<OtlpSpans> read(group.requests.size());
    std::vector<std::vector<FrameSpan>> spans(group.kept.size());
    for (std::size_t q = 0; q != read.size(); ++q) {
      const bench::Request& request = group.requests[q];
      if (!read_otlp_spans(ByteView(request.grpc).substr(5), read[q])) std::abort();
      for (std::size_t i = 0; i != request.ids.size(); ++i) spans[request.ids[i].second].push_back(read[q].spans[i]);
    }
    for (std::vector<FrameSpan>& of : spans) {
      auto trace = std::make_shared<KeptTrace>();
      trace->spans = static_cast<std::uint32_t>(of.size());
      frame_trace(of, trace->otlp);
      trace->root_service = "service-0";
      trace->root_name = "GET /api/v1/resource/0";
      trace->policy = "all";
      trace->has_root = true;
      out.push_back(std::move(trace));
    }
  }
  return out;
}

// Gives all spans of the trace another trace id. They are found by the one that they have.
void set_id(KeptTrace& trace, const TraceId& id) {
  const std::string old(trace.id.view());
  for (std::size_t at = trace.otlp.find(old); at != std::string::npos; at = trace.otlp.find(old, at + 16)) {
    trace.otlp.replace(at, 16, id.view());
  }
  trace.id = id;
}

double cpu_now() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

Result<void> write(const std::string& directory, std::uint64_t spans) {
  std::vector<std::string> notices;
  StoreOptions options{.directory = directory};
  auto store = Store::open(options, kFirst, notices);
  if (!store) return tl::unexpected(store.error());
  const std::vector<std::shared_ptr<KeptTrace>> pool = load_traces();
  for (std::size_t i = 0; i != pool.size(); ++i) {
    std::string mark(8, 'T');
    append_le(mark, std::uint64_t{i % bench::kLarge.traces});
    pool[i]->id = TraceId::from(mark.data());
  }
  std::uint64_t otlp = 0, stored = 0, n = 0;
  double cpu = 0;
  std::vector<KeptTracePtr> batch;
  while (stored < spans) {
    batch.clear();
    for (std::size_t bytes = 0; bytes < (8 << 20); ++n) {
      KeptTrace& trace = *pool[n % pool.size()];
      set_id(trace, bench::nth_id(1, n));
      trace.start_ns = kFirst + n * 2'500'000;
      trace.end_ns = trace.start_ns + 70'000'000;
      bytes += trace.otlp.size();
      stored += trace.spans;
      otlp += trace.otlp.size();
      batch.push_back(pool[n % pool.size()]);
    }
    const double begin = cpu_now();
    if (auto done = (*store)->append(batch, kFirst + n * 2'500'000); !done) return done;
    cpu += cpu_now() - begin;
  }
  const double millions = static_cast<double>(stored) / 1e6;
  fmt::print("stored {:.1f} M spans of {} B: {:.2f} CPU s per million, {:.3f} of the OTLP bytes on disk\n", millions,
             otlp / stored, cpu / millions, static_cast<double>((*store)->counts().bytes) / static_cast<double>(otlp));
  return {};
}

// Asks `count` times and prints the percentiles.
void ask(const std::string& what, std::size_t count, const std::function<std::size_t(std::size_t)>& question) {
  std::vector<double> ms;
  std::size_t found = 0;
  for (std::size_t i = 0; i != count; ++i) {
    const TimePoint begin = monotonic_now();
    found += question(i);
    ms.push_back(std::chrono::duration<double, std::milli>(monotonic_now() - begin).count());
  }
  std::sort(ms.begin(), ms.end());
  fmt::print("{:<48} p50 {:8.2f} ms  p99 {:8.2f} ms  found {:.1f} each\n", what, ms[count / 2], ms[count * 99 / 100],
             static_cast<double>(found) / static_cast<double>(count));
}

std::size_t search(StoreReader& reader, const std::string& traceql, std::uint64_t from, std::uint64_t to) {
  TraceQuestion question;
  question.from_ns = from;
  question.to_ns = to;
  question.query = *traceql::parse_query(traceql);
  std::size_t found = 0;
  const auto outcome = find_traces(
      reader, question, {}, [] { return false; }, [&](const FoundTrace&) { ++found; });
  if (!outcome || !outcome->cut.empty()) fmt::print("CUT or failed: {}\n", traceql);
  return found;
}

int ask_all(const std::string& directory, std::uint64_t spans, std::size_t count) {
  auto reader = open_store(directory);
  if (!reader) return bad(reader.error());
  const Result<StoreStatus> status = (*reader)->status();
  if (!status) return bad(status.error());
  fmt::print("{:.1f} M spans, {} traces, {} partitions, {:.2f} GB\n", static_cast<double>(status->spans) / 1e6,
             status->traces, status->partitions, static_cast<double>(status->bytes) / 1e9);
  test::Random r(11);
  const std::uint64_t traces = spans / kSpansPerTrace;
  const auto hour = [&] { return kFirst + r.below(24) * kHour; };
  ask("service, duration > 1s and status code in an hour", count, [&](std::size_t) {
    const std::uint64_t from = hour();
    return search(**reader,
                  fmt::format("{{ resource.service.name = \"service-{}\" && duration > 1s && "
                              "span.http.response.status_code = 500 }}",
                              r.below(kServices)),
                  from, from + kHour);
  });
  ask("a user's traces in an hour", count, [&](std::size_t) {
    const std::uint64_t from = hour();
    return search(**reader, fmt::format("{{ span.user.id = \"{}\" }}", user(r.below(kUsers))), from, from + kHour);
  });
  ask("a user's traces in all that is stored", count, [&](std::size_t) {
    return search(**reader, fmt::format("{{ span.user.id = \"{}\" }}", user(r.below(kUsers))), 0, UINT64_MAX);
  });
  ask("a trace by its id", count, [&](std::size_t) {
    const auto found = (*reader)->trace(TraceId::from(id_of(r.below(traces)).data()));
    return found && !found->otlp.empty() ? 1U : 0U;
  });
  ask("an id that is not stored", count, [&](std::size_t) {
    const auto found = (*reader)->trace(TraceId::from(id_of(traces + r.below(traces)).data()));
    return found && !found->otlp.empty() ? 1U : 0U;
  });
  ask("the names of all services", count, [&](std::size_t) { return (*reader)->services(0, UINT64_MAX)->size(); });
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t spans = 10'000'000, written = 0;
  std::size_t questions = 300;
  std::string directory;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i], value = argv[i + 1];
    if (flag == "--spans") spans = std::stoull(value);
    if (flag == "--write") written = std::stoull(value);
    if (flag == "--questions") questions = std::stoul(value);
    if (flag == "--directory") directory = value;
  }
  const bool own = directory.empty();
  if (own) directory = fmt::format("/tmp/tailgate-store-bench-{}", getpid());
  if (written != 0) {
    if (const Result<void> done = write(directory, written); !done) return bad(done.error());
    if (own) std::filesystem::remove_all(directory);
    return 0;
  }
  if (!std::filesystem::exists(directory)) {
    if (const Result<void> done = fill(directory, spans); !done) return bad(done.error());
  }
  const int code = ask_all(directory, spans, questions);
  if (own) std::filesystem::remove_all(directory);
  return code;
}
