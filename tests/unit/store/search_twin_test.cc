// SPDX-License-Identifier: Apache-2.0
// Random traces in several parts and partitions, random searches: the store answers as a loop over all of them does.
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>

#include "store/reader.h"
#include "store/store.h"
#include "support/otlp_builder.h"
#include "support/random_otlp.h"

namespace tailgate {
namespace {

namespace fs = std::filesystem;
using test::Random;

constexpr std::uint64_t kBase = 1'700'000'000'000'000'000, kMs = 1'000'000;

struct Twin {
  std::uint64_t start = 0, end = 0, longest = 0;
  std::set<std::string> services, terms;  // a term as text
  std::string otlp;
  std::set<std::string> parts;
};

std::string term_text(const TraceTerm& t) {
  return std::to_string(static_cast<int>(t.field)) + "/" + t.key + (t.value ? "=" + *t.value : "");
}

class World {
 public:
  explicit World(std::uint64_t seed)
      : path_(fs::temp_directory_path() / ("tailgate-twin-" + std::to_string(::getpid()))), r_(seed) {
    fs::remove_all(path_);
    options_.directory = path_;
    options_.age_max_ns = 16 * 1000;  // partitions of 1,000 ns of arrival
    options_.parts_per_posting_file = 1 + r_.below(9);
    options_.codec = static_cast<BlockCodec>(r_.below(3));
    open();
  }
  ~World() {
    store_.reset();
    fs::remove_all(path_);
  }

  void open() {
    store_.reset();
    auto store = Store::open(options_, now_, notices_);
    if (!store) FAIL(store.error().text);
    store_ = std::move(*store);
    live_ = std::make_unique<StoreReader>(store_->source());
  }

  void add_some() {
    std::vector<KeptTracePtr> batch;
    for (std::uint64_t n = 1 + r_.below(6); n != 0; --n) batch.push_back(part());
    now_ += r_.below(300);
    const auto done = store_->append(batch, now_);
    if (!done) FAIL(done.error().text);
  }

  SearchRequest request() {
    SearchRequest q;
    if (r_.one_in(2)) q.from_ns = kBase + r_.below(400) * kMs;
    if (r_.one_in(2)) q.to_ns = kBase + r_.below(400) * kMs;
    if (r_.one_in(3)) q.service = service();
    for (std::uint64_t n = r_.below(4); n != 0; --n) {
      std::vector<TraceTerm> any;
      for (std::uint64_t k = 1 + r_.below(2); k != 0; --k) any.push_back(term());
      q.needs.all.push_back(any);
    }
    if (r_.one_in(4)) q.needs.span_duration_min_ns = r_.below(60) * kMs;
    if (r_.one_in(4)) q.needs.trace_duration_min_ns = r_.below(90) * kMs;
    if (r_.one_in(4)) q.needs.trace_duration_max_ns = r_.below(120) * kMs;
    return q;
  }

  std::vector<std::string> brute(const SearchRequest& q) const {
    std::vector<std::pair<std::uint64_t, std::string>> found;
    for (const auto& [id, t] : twins_) {
      if (fits(q, t)) found.emplace_back(t.start, id);
    }
    std::sort(found.rbegin(), found.rend());
    std::vector<std::string> out;
    for (const auto& [start, id] : found) out.push_back(id);
    return out;
  }

  // `exact`: without looking at what the index hands out.
  std::vector<std::string> ask(StoreReader& reader, const SearchRequest& q, bool exact) {
    std::vector<std::string> out;
    std::size_t wrong = 0;
    const auto done = reader.search(q, [&](const StoredTrace& t) {
      const Twin& twin = twins_.at(std::string(t.id.view()));
      if (!exact && !fits(q, twin)) return true;
      wrong += t.otlp == twin.otlp && t.start_ns == twin.start && t.end_ns == twin.end ? 0 : 1;
      out.emplace_back(t.id.view());
      return true;
    });
    if (!done) FAIL(done.error().text);
    if (wrong != 0 || !done->cut.empty() || done->damaged != 0) FAIL(wrong << " wrong, " << done->cut << done->damaged);
    return out;
  }

  std::map<std::string, Twin> twins_;
  std::unique_ptr<StoreReader> live_;
  fs::path path_;
  std::unique_ptr<Store> store_;
  std::vector<std::string> notices_;

 private:
  std::string service() { return std::string(1, static_cast<char>('a' + r_.below(4))); }
  std::string key() { return "k" + std::to_string(r_.below(5)); }
  std::string value() { return std::to_string(r_.below(4)); }
  TraceTerm term() {
    switch (r_.below(5)) {
      case 0:
        return {TraceTerm::Field::kSpanName, "", "op" + std::to_string(r_.below(4))};
      case 1:
        return {TraceTerm::Field::kStatus, "", r_.one_in(2) ? "error" : "unset"};
      case 2:
        return {TraceTerm::Field::kAttribute, key()};
      default:
        return {TraceTerm::Field::kAttribute, key(), value()};
    }
  }

  static bool fits(const SearchRequest& q, const Twin& t) {
    if (t.start > q.to_ns || t.end < q.from_ns) return false;
    if (!q.service.empty() && !t.services.contains(q.service)) return false;
    if (t.longest < q.needs.span_duration_min_ns || t.end - t.start < q.needs.trace_duration_min_ns ||
        t.end - t.start > q.needs.trace_duration_max_ns) {
      return false;
    }
    return std::all_of(q.needs.all.begin(), q.needs.all.end(), [&](const std::vector<TraceTerm>& any) {
      return std::any_of(any.begin(), any.end(), [&](const TraceTerm& x) { return t.terms.contains(term_text(x)); });
    });
  }

  KeptTracePtr part() {
    if (!sent_.empty() && r_.one_in(10)) return sent_[r_.below(sent_.size())];  // sent again
    const std::uint64_t number = r_.one_in(3) && next_ > 1 ? 1 + r_.below(next_ - 1) : next_++;
    auto kept = std::make_shared<KeptTrace>();
    kept->id = test::id_of_trace(number);
    Twin& twin = twins_[std::string(kept->id.view())];
    const bool first = twin.parts.empty();
    std::uint64_t start = UINT64_MAX, end = 0;
    for (std::uint64_t n = 1 + r_.below(2); n != 0; --n) {
      const std::string of = service();
      std::vector<test::SpanSpec> specs;
      for (std::uint64_t k = 1 + r_.below(3); k != 0; --k) specs.push_back(span(number, twin, start, end));
      twin.services.insert(of);
      twin.terms.insert(term_text({TraceTerm::Field::kAttribute, "service.name", of}));
      kept->otlp += test::request(specs, of);
      kept->spans += static_cast<std::uint32_t>(specs.size());
    }
    kept->start_ns = start;
    kept->end_ns = end;
    twin.start = first ? start : std::min(twin.start, start);
    twin.end = std::max(twin.end, end);
    if (twin.parts.insert(kept->otlp).second) twin.otlp += kept->otlp;
    kept->policy = "all";
    sent_.push_back(kept);
    return kept;
  }

  test::SpanSpec span(std::uint64_t trace, Twin& twin, std::uint64_t& start, std::uint64_t& end) {
    test::SpanSpec s;
    s.trace = trace;
    s.id = 1 + r_.below(1000);
    s.start_ms = r_.below(300);
    s.end_ms = s.start_ms + r_.below(80);
    s.status = r_.one_in(3) ? 2 : 0;
    s.name = "op" + std::to_string(r_.below(4));
    for (std::uint64_t n = r_.below(3); n != 0; --n) s.attributes.emplace_back(key(), value());
    start = std::min(start, kBase + s.start_ms * kMs);
    end = std::max(end, kBase + s.end_ms * kMs);
    twin.longest = std::max(twin.longest, (s.end_ms - s.start_ms) * kMs);
    for (const auto& [k, v] : s.attributes) {
      twin.terms.insert(term_text({TraceTerm::Field::kAttribute, k}));
      twin.terms.insert(term_text({TraceTerm::Field::kAttribute, k, v}));
    }
    twin.terms.insert(term_text({TraceTerm::Field::kSpanName, "", s.name}));
    twin.terms.insert(term_text({TraceTerm::Field::kStatus, "", s.status == 2 ? "error" : "unset"}));
    return s;
  }

  StoreOptions options_;
  std::uint64_t now_ = 1, next_ = 1;
  std::vector<KeptTracePtr> sent_;
  Random r_;
};

void compare(World& world, int queries) {
  const auto second = open_store(world.path_);
  REQUIRE(second);
  for (int i = 0; i != queries; ++i) {
    INFO("query " << i);
    const SearchRequest q = world.request();
    const auto expected = world.brute(q);
    if (world.ask(*world.live_, q, true) != expected) FAIL("the store's own process finds others");
    if (world.ask(**second, q, false) != expected) FAIL("a second process finds others");
  }
  for (const auto& [id, twin] : world.twins_) {
    const auto found = world.live_->trace(TraceId::from(id.data()));
    REQUIRE(found);
    REQUIRE(found->otlp == twin.otlp);
  }
}

TEST_CASE("random searches find what a loop over all traces finds", "[store]") {
  // SEARCHES sets how many there are, SEARCH_SEED the first world; component.searches does 100,000 of them.
  const char* const set = std::getenv("SEARCHES");
  const char* const seed_set = std::getenv("SEARCH_SEED");
  const std::uint64_t first = seed_set ? std::strtoull(seed_set, nullptr, 10) : 1;
  const int searches = set ? std::atoi(set) : 3000;  // each question is asked of two processes, five times a world
  const int each = std::clamp(searches / 200, 1, 500);
  const auto worlds = static_cast<std::uint64_t>(std::max(20, searches / each / 10));
  for (std::uint64_t seed = first; seed != first + worlds; ++seed) {
    INFO("seed " << seed);
    World world(seed);
    for (int round = 0; round != 4; ++round) {
      for (int i = 0; i != 8; ++i) world.add_some();
      if (round == 1) world.open();
      compare(world, each);
    }
    world.open();
    CHECK(world.notices_.empty());
    compare(world, each);
  }
}

TEST_CASE("a catalogue or index that is lost or damaged is made again from the blocks", "[store]") {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    INFO("seed " << seed);
    World world(100 + seed);
    for (int i = 0; i != 20; ++i) world.add_some();
    world.store_.reset();
    std::vector<fs::path> files;
    for (const auto& at : fs::recursive_directory_iterator(world.path_)) {
      const std::string name = at.path().filename();
      if (name.starts_with("catalogue") || name.starts_with("terms") || name.starts_with("ids")) files.push_back(at);
    }
    Random r(seed);
    for (const fs::path& file : files) {
      if (r.one_in(2)) continue;
      if (r.one_in(2)) {
        fs::remove(file);
      } else {
        fs::resize_file(file, 5);
      }
    }
    world.open();
    compare(world, 20);
  }
}

}  // namespace
}  // namespace tailgate
