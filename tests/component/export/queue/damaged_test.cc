// SPDX-License-Identifier: Apache-2.0
// Durable queues whose file is damaged: no start dies of one, and what can be read is taken over.
#include <algorithm>
#include <cstring>
#include <map>
#include <random>
#include <set>

#include "component/export/export_fixture.h"
#include "export/queue/durable_store.h"
#include "export/queue/kept_log.h"
#include "export/queue/kept_record.h"

using namespace tailgate;

namespace {

constexpr std::size_t kPage = 4096;

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

// A queue that has been in use: 300 records of 150 bytes to 60 KB, of which 100 are gone again and some are marked.
struct Used {
  std::map<std::uint64_t, std::string> records;  // that are there
  std::set<std::string> ever;                    // all that there were
  std::string file;
  std::map<std::uint64_t, std::set<std::size_t>> needs;  // the pages of each

  Used() {
    TempDir dir;
    const auto log = make_kept_log(dir.at("q"), 64 << 20);
    REQUIRE(log->open(ignore_record));
    std::mt19937_64 random(7);
    std::uint64_t next = 1;
    for (int commit = 0; commit < 30; ++commit) {
      KeptLog::Writes writes;
      for (int i = 0; i < 10; ++i) {
        const std::size_t bytes = random() % 4 == 0 ? 2000 + random() % 58'000 : 100 + random() % 1000;
        std::string name(bytes, 'n');
        for (char& c : name) c = static_cast<char>('a' + random() % 26);
        writes.puts.emplace_back(next, write_kept_record(*kept(static_cast<std::uint8_t>(next), 1, name), next, {"x"}));
        records[next] = writes.puts.back().second;
        ever.insert(records[next++]);
      }
      for (int i = 0; i < 3; ++i) {
        const auto some = std::next(records.begin(), static_cast<std::ptrdiff_t>(random() % records.size()));
        if (some->first + 10 >= next) continue;  // of this commit
        writes.removes.push_back(some->first);
        records.erase(some);
      }
      for (int i = 0; i < 6; ++i) {
        const auto some = std::next(records.begin(), static_cast<std::ptrdiff_t>(random() % records.size()));
        if (some->first + 10 < next) writes.marks.emplace_back(some->first, random() % 5);
      }
      REQUIRE(log->commit(writes));
    }
    file = read_file(dir.at("q/data.mdb"));
    for (const auto& [number, record] : records) needs[number] = pages_of(number, record);
  }

  // The pages that a record needs: those of all its copies, and of all that point to one.
  std::set<std::size_t> pages_of(std::uint64_t number, const std::string& record) const {
    std::set<std::size_t> pages;
    for (std::size_t at = file.find(record); at != std::string::npos; at = file.find(record, at + 1)) {
      for (std::size_t p = at / kPage; p <= (at + record.size() - 1) / kPage; ++p) pages.insert(p);
      if (record.size() < 1000) continue;  // in the page that points to it
      const std::uint64_t first = at / kPage;
      std::string node("\x01\0\x08\0", 4);
      node.append(reinterpret_cast<const char*>(&number), 8).append(reinterpret_cast<const char*>(&first), 8);
      for (std::size_t by = file.find(node); by != std::string::npos; by = file.find(node, by + 1))
        pages.insert(by / kPage);
    }
    return pages;
  }
};

const Used& used() {
  static const Used made;
  return made;
}

// What a start makes of `file`. The log is then written as usual, to see that LMDB can live with it.
struct Start {
  KeptLog::Damage damage;
  std::multiset<std::string> found;  // records that are whole
  std::size_t changed = 0;           // that are not
};
Start start_with(std::string_view file) {
  TempDir dir;
  std::filesystem::create_directory(dir.at("q"));
  write_file(dir.at("q/data.mdb"), file);
  Start out;
  const bool seen_by_check = !kept_log_damage(dir.at("q")).empty();
  const auto log = make_kept_log(dir.at("q"), 64 << 20);
  std::vector<std::uint64_t> numbers;
  const auto opened = log->open([&](std::uint64_t number, ByteView record, const std::vector<std::uint64_t>&) {
    numbers.push_back(number);
    if (read_kept_record(record, true)) {
      out.found.emplace(record);
    } else {
      ++out.changed;
    }
  });
  if (!opened) FAIL(opened.error().text);
  out.damage = *opened;
  CHECK(seen_by_check == !out.damage.cause.empty());
  if (seen_by_check) CHECK(read_file(out.damage.set_aside + "/data.mdb") == file);
  CHECK(kept_log_damage(dir.at("q")).empty());  // a running daemon has it
  std::uint64_t next = numbers.empty() ? 1 : numbers.back() + 1;
  for (int commit = 0; commit < 3; ++commit) {
    KeptLog::Writes writes;
    for (int i = 0; i < 20; ++i) writes.puts.emplace_back(next++, std::string(i % 2 == 0 ? 300 : 20'000, 'x'));
    for (std::size_t i = 0; i < 40 && !numbers.empty(); ++i) {
      writes.removes.push_back(numbers.back());
      numbers.pop_back();
    }
    const Result<void> written = log->commit(writes);
    if (!written) FAIL(written.error().text);
  }
  for (const std::uint64_t number : numbers) REQUIRE(log->read(number));
  return out;
}

// All records on none of these pages are found; what is found was there at some time.
void check_found(const Start& start, const std::set<std::size_t>& damaged) {
  for (const auto& [number, record] : used().records) {
    const std::set<std::size_t>& pages = used().needs.at(number);
    const bool whole = std::none_of(pages.begin(), pages.end(), [&](std::size_t p) { return damaged.contains(p); });
    INFO(number);
    if (whole) REQUIRE(start.found.count(record) == 1);
  }
  for (const std::string& record : start.found) REQUIRE(used().ever.contains(record));
}

std::set<std::size_t> pages_from(std::size_t first) {
  std::set<std::size_t> out;
  for (std::size_t p = first; p < used().file.size() / kPage; ++p) out.insert(p);
  return out;
}

}  // namespace

TEST_CASE("a queue that is sound is left alone", "[export]") {
  const Start start = start_with(used().file);
  CHECK(start.damage.cause.empty());
  CHECK(start.found.size() == used().records.size());
  check_found(start, {});
}

TEST_CASE("a queue that was cut, overwritten or emptied is set aside, and what can be read of it is taken over",
          "[export]") {
  std::string file = used().file;
  std::set<std::size_t> damaged;
  SECTION("cut by 32 KiB") {
    file.resize(file.size() - (32 << 10));
    damaged = pages_from(file.size() / kPage);
  }
  SECTION("cut in the middle of a page") {
    file.resize(file.size() / 2 + 100);
    damaged = pages_from(file.size() / kPage);
  }
  SECTION("the first meta page zeroed") { std::memset(file.data(), 0, kPage); }
  SECTION("the second meta page zeroed") { std::memset(file.data() + kPage, 0, kPage); }
  SECTION("both meta pages zeroed") { std::memset(file.data(), 0, 2 * kPage); }
  SECTION("the number of the last page is larger than any memory") {
    std::memset(file.data() + 16 + 120, 0x3f, 6);
    std::memset(file.data() + kPage + 16 + 120, 0x3f, 6);
  }
  SECTION("the older meta page says that it is the newer one") {
    std::uint64_t even = 0, odd = 0;
    std::memcpy(&even, file.data() + 16 + 128, 8);
    std::memcpy(&odd, file.data() + kPage + 16 + 128, 8);
    const std::size_t older = even > odd ? kPage : 0;
    even = std::max(even, odd) + 1001;
    std::memcpy(file.data() + older + 16 + 128, &even, 8);
  }
  SECTION("forty pages in the middle overwritten") {
    const std::size_t first = file.size() / kPage / 2;
    std::memset(file.data() + first * kPage, 0xa5, 40 * kPage);
    for (std::size_t p = first; p < first + 40; ++p) damaged.insert(p);
  }
  SECTION("every page that leads to records overwritten") {
    for (std::size_t at = 2 * kPage; at + kPage <= file.size(); at += kPage) {
      if (file[at + 10] == 1 && file[at + 11] == 0) std::memset(file.data() + at, 0, kPage);
    }
  }
  const Start start = start_with(file);
  CAPTURE(start.damage.cause);
  CHECK_FALSE(start.damage.cause.empty());
  CHECK(start.damage.set_aside.find("/damaged-2") != std::string::npos);
  CHECK(start.damage.taken_over == start.found.size() + start.changed);
  check_found(start, damaged);
}

TEST_CASE("a queue whose file is empty was damaged, one without a file is new", "[export]") {
  CHECK(start_with("").damage.cause == "the file is empty");
  CHECK(start_with(std::string(100, '\0')).damage.cause.find("the first meta page") != std::string::npos);
  CHECK(start_with(std::string(1 << 20, '\0')).found.empty());
  TempDir dir;
  CHECK(kept_log_damage(dir.at("q")).empty());
  CHECK(make_kept_log(dir.at("q"), 1 << 20)->open(ignore_record)->cause.empty());
}

TEST_CASE("whatever a disk does to the file, the start survives and loses what was hit only", "[export]") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    std::mt19937_64 random(seed);
    std::string file = used().file;
    std::set<std::size_t> damaged;
    const std::size_t pages = file.size() / kPage;
    std::string how;
    for (std::uint64_t times = 1 + random() % 3; times > 0; --times) {
      // The first pages and the heads of pages are where numbers are.
      const std::size_t page = random() % 4 == 0 ? random() % 4 : random() % pages;
      const std::size_t at = page * kPage + (random() % 2 == 0 ? random() % 200 : random() % kPage);
      if (at >= file.size()) continue;
      switch (random() % 5) {
        case 0:
        case 1: {
          const char flip = static_cast<char>(1 << random() % 8);
          file[at] = static_cast<char>(file[at] ^ flip);
          how += " flip " + std::to_string(at);
          damaged.insert(page);
          break;
        }
        case 2: {
          const std::size_t end = std::min(file.size(), (page + 1) * kPage);
          for (std::size_t i = page * kPage; i < end; ++i) file[i] = static_cast<char>(random());
          how += " noise " + std::to_string(page);
          damaged.insert(page);
          break;
        }
        case 3: {
          const std::size_t other = random() % pages;
          if ((other + 1) * kPage > file.size() || (page + 1) * kPage > file.size()) break;
          std::memcpy(file.data() + page * kPage, file.data() + other * kPage, kPage);
          how += " copy " + std::to_string(other) + " to " + std::to_string(page);
          if (other != page) damaged.insert(page);
          break;
        }
        default:
          file.resize(std::max<std::size_t>(at, 2 * kPage));
          how += " cut " + std::to_string(file.size());
          damaged.merge(pages_from(file.size() / kPage));
          break;
      }
    }
    INFO("seed " << seed << ":" << how);
    check_found(start_with(file), damaged);
  }
}

TEST_CASE("a damaged queue says so, and its traces are sent", "[export]") {
  TempDir dir;
  const auto make = [&] {
    return DurableStore({{"x", {.directory = dir.at("q")}}}, make_kept_log(dir.at("q"), 64 << 20));
  };
  {
    DurableStore store = make();
    REQUIRE(store.start());
    for (std::uint8_t id = 1; id <= 100; ++id) store.push(kept(id, 1, std::string(20'000, 'n')), 1);
    store.stop();
  }
  std::filesystem::resize_file(dir.at("q/data.mdb"), std::filesystem::file_size(dir.at("q/data.mdb")) - (32 << 10));
  {
    DurableStore store = make();
    REQUIRE(store.start());
    CHECK(store.found_damaged());
    const std::uint64_t there = store.stats(0).restored_spans;
    CHECK(there >= 95);
    for (std::uint64_t n = 0; n < there; ++n) {
      const auto next = store.next(0);
      REQUIRE(next);
      CHECK(next->trace->otlp.size() > 20'000);
      store.done(0, next->number);
    }
    store.push(kept(101), 1);
    store.stop();
  }
  DurableStore store = make();
  REQUIRE(store.start());
  CHECK_FALSE(store.found_damaged());
  CHECK(store.stats(0).restored_spans == 1);
}
