// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "journal_fixture.h"
#include "support/random_otlp.h"

namespace tailgate {
namespace {

namespace fs = std::filesystem;
using test::HandJournal;
using test::InTheMiddle;
using test::JournalFolder;

// Bytes that LZ4 makes no smaller.
std::string noise(std::size_t size) {
  test::Random r(size);
  std::string out(size, '\0');
  for (char& c : out) c = static_cast<char>(r.below(256));
  return out;
}

std::vector<std::string> files(const JournalFolder& folder, std::string_view ending = ".requests") {
  std::vector<std::string> out;
  for (const auto& entry : fs::directory_iterator(folder.path)) {
    if (entry.path().string().ends_with(ending)) out.push_back(entry.path());
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

TEST_CASE("requests are answered when they are committed, and come back in order", "[journal]") {
  const JournalFolder folder;
  HandJournal j(folder);
  REQUIRE(j.open());
  CHECK_FALSE(j.journal->has_past());
  std::vector<std::string> wanted;
  for (int n = 0; n != 50; ++n) {
    // Small ones share a block, large ones have their own.
    wanted.push_back(n % 7 == 0 ? noise(40'000) : std::string(static_cast<std::size_t>(n) * 10, 'x'));
    j.put(wanted.back());
    if (n % 10 != 9) continue;
    CHECK(j.journal->waiting());
    CHECK(j.safe == n - 9);
    j.commit();
    CHECK(j.safe == n + 1);
    CHECK_FALSE(j.journal->waiting());
  }
  CHECK(j.read() == wanted);
  CHECK(j.journal->stats().commits == 5);
  CHECK(j.journal->stats().requests == 50);

  const std::uint64_t before = j.journal->next_order();
  REQUIRE(j.open());  // a restart
  CHECK(j.notices.empty());
  REQUIRE(j.journal->has_past());
  CHECK(j.journal->first_order() > before);
  CHECK(j.read(j.journal->replay_from()) == wanted);
  j.put("new");
  j.commit();
  wanted.emplace_back("new");
  CHECK(j.read(j.journal->replay_from()) == wanted);
}

TEST_CASE("another process has the directory", "[journal]") {
  const JournalFolder folder;
  HandJournal one(folder), two(folder);
  REQUIRE(one.open());
  CHECK_FALSE(two.open());
  CHECK(two.notices.back().find("another process") != std::string::npos);
}

TEST_CASE("segments are deleted when they are settled and old enough", "[journal]") {
  const JournalFolder folder;
  HandJournal j(folder,
                {.retain = std::chrono::seconds(60), .hold = std::chrono::seconds(10), .segment_bytes = 50'000});
  REQUIRE(j.open());
  for (int n = 0; n != 6; ++n) {
    j.put(noise(40'000));
    j.commit();
    j.ms += 1000;
  }
  CHECK(files(folder).size() == 3);
  const std::uint64_t pinned = j.journal->pin(j.now() - std::chrono::milliseconds(1500));  // in the last one
  j.ms += 20'000;
  j.journal->swept(j.now());
  j.commit();
  CHECK(j.journal->stats().unsettled == 1);
  CHECK(files(folder).size() == 3);  // retained
  j.ms += 45'000;
  j.commit();
  CHECK(files(folder).size() < 3);
  j.ms += 45'000;
  j.journal->swept(j.now());
  j.commit();
  CHECK(files(folder).size() == 2);  // the one that is pinned, and a new one
  j.journal->unpin(pinned);
  j.commit();
  CHECK(files(folder).size() == 1);
}

TEST_CASE("requests do not stay longer because nothing comes any more", "[journal]") {
  const JournalFolder folder;
  HandJournal j(folder, {.retain = std::chrono::seconds(60), .hold = std::chrono::seconds(10)});
  REQUIRE(j.open());
  j.put("the last one");
  j.commit();
  for (int n = 0; n != 4; ++n) {
    j.ms += 50'000;
    j.journal->swept(j.now());
    j.commit();
  }
  CHECK(j.read().empty());
  CHECK(files(folder).size() == 1);
}

TEST_CASE("a restart replays from the first segment that is not settled", "[journal]") {
  const JournalFolder folder;
  HandJournal j(folder, {.retain = std::chrono::hours(1), .hold = std::chrono::seconds(10), .segment_bytes = 50'000});
  REQUIRE(j.open());
  std::vector<std::string> late;
  for (int n = 0; n != 8; ++n) {
    const std::string bytes = noise(40'000 + static_cast<std::size_t>(n));
    j.put(bytes);
    if (n >= 4) late.push_back(bytes);
    j.commit();
    j.ms += n == 3 ? 60'000 : 1000;
  }
  j.journal->swept(j.now());
  j.commit();
  REQUIRE(j.open());
  REQUIRE(j.journal->has_past());
  CHECK(j.read(j.journal->replay_from()) == late);
  CHECK(j.read().size() == 8);
  // What is being replayed is settled only when it has been.
  j.ms += 100'000;
  j.journal->swept(j.now());
  j.commit();
  const std::uint64_t unsettled = j.journal->stats().unsettled;
  CHECK(unsettled > 1);
  j.journal->replayed(UINT64_MAX);
  j.commit();
  CHECK(j.journal->stats().unsettled == 1);
}

TEST_CASE("a full journal refuses, or is passed by, until there is room again", "[journal]") {
  const JournalFailure on_failure = GENERATE(JournalFailure::kRefuse, JournalFailure::kMemory);
  const bool refuses = on_failure == JournalFailure::kRefuse;
  const JournalFolder folder;
  HandJournal j(folder, {.on_failure = on_failure,
                         .codec = BlockCodec::kPlain,
                         .bytes_max = 200'000,
                         .hold = std::chrono::seconds(10),
                         .segment_bytes = 50'000});
  REQUIRE(j.open());
  int n = 0;
  for (; j.journal->takes() == Journal::Takes::kRequests && n != 20; ++n) {
    j.put(noise(40'000));
    j.commit();
  }
  CHECK(n == 5);
  CHECK(j.safe == (refuses ? 4 : 5));
  CHECK(j.unsafe == (refuses ? 1 : 0));
  CHECK(j.journal->stats().passed == (refuses ? 0 : 1));
  CHECK(j.journal->takes() == (refuses ? Journal::Takes::kNothing : Journal::Takes::kPassBy));
  CHECK(j.journal->stats().failure.find("journal.max_bytes") != std::string::npos);
  CHECK(j.journal->stats().bytes <= 200'000);
  j.journal->commit(j.now(), j.wall());  // it is too early to try again
  CHECK(j.journal->takes() != Journal::Takes::kRequests);
  j.ms += 20'000;
  j.journal->swept(j.now());
  j.commit();
  CHECK(j.journal->takes() == Journal::Takes::kRequests);
  j.put("more");
  j.commit();
  CHECK(j.read().back() == "more");
}

TEST_CASE("a journal takes nothing while the file system has too little left", "[journal]") {
  const JournalFailure on_failure = GENERATE(JournalFailure::kRefuse, JournalFailure::kMemory);
  const bool refuses = on_failure == JournalFailure::kRefuse;
  setup_log({.level = LogLevel::kError, .sink = [](std::string_view) {}});
  const JournalFolder folder;
  HandJournal j(folder, {.on_failure = on_failure, .disk_free_min = UINT64_MAX / 2});
  REQUIRE(j.open());
  j.put("a");
  j.commit();
  CHECK((refuses ? j.unsafe : j.safe) == 1);
  CHECK(j.journal->stats().passed == (refuses ? 0 : 1));
  CHECK(j.journal->takes() == (refuses ? Journal::Takes::kNothing : Journal::Takes::kPassBy));
  CHECK(j.journal->stats().failure.find("journal.disk_free_min") != std::string::npos);
  CHECK(j.read().empty());
  j.ms += 2000;
  j.commit();
  CHECK(j.journal->takes() != Journal::Takes::kRequests);
  j.options.disk_free_min = 1;
  REQUIRE(j.open());
  j.put("b");
  j.commit();
  CHECK(j.read() == std::vector<std::string>{"b"});
}

TEST_CASE("too much that waits for the disk is refused", "[journal]") {
  const JournalFolder folder;
  HandJournal j(folder, {.codec = BlockCodec::kPlain});
  REQUIRE(j.open());
  const std::string bytes = noise(1 << 20);
  int n = 0;
  for (; j.journal->takes() == Journal::Takes::kRequests && n != 100; ++n) j.put(bytes);
  CHECK(n == 32);
  j.commit();
  CHECK(j.journal->takes() == Journal::Takes::kRequests);
  CHECK(j.safe == 32);
}

TEST_CASE("a write that hangs is a failure, and nobody waits for its end", "[journal]") {
  const JournalFailure on_failure = GENERATE(JournalFailure::kRefuse, JournalFailure::kMemory);
  const bool refuses = on_failure == JournalFailure::kRefuse;
  setup_log({.level = LogLevel::kError, .sink = [](std::string_view) {}});
  const JournalFolder folder;
  HandJournal j(folder, {.on_failure = on_failure, .write_timeout = std::chrono::seconds(5)});
  REQUIRE(j.open());
  InTheMiddle words(j);
  j.put("in the write");
  int asked = 0;
  words.call = [&] {
    ++asked;
    j.ms += 1000;
    j.put("behind it");
    j.ms += 3900;
    j.journal->watch(j.now());
    CHECK(j.journal->takes() == Journal::Takes::kRequests);
    CHECK(j.safe + j.unsafe == 0);
    j.ms += 200;
    j.journal->watch(j.now());
    CHECK(j.journal->takes() == (refuses ? Journal::Takes::kNothing : Journal::Takes::kPassBy));
    CHECK((refuses ? j.unsafe : j.safe) == 1);
    CHECK(j.journal->stats().failure.find("journal.write_timeout") != std::string::npos);
    j.ms += 1000;
    j.journal->watch(j.now());
    CHECK((refuses ? j.unsafe : j.safe) == 2);
    CHECK(j.journal->stats().timeouts == 1);
    CHECK(j.journal->misses_since(j.now() - std::chrono::seconds(5)) != refuses);
  };
  j.commit();
  REQUIRE(asked == 1);
  CHECK(j.safe + j.unsafe == 2);
  CHECK(j.journal->stats().passed == (refuses ? 0 : 2));
  j.ms += 2000;
  j.commit();
  j.journal->watch(j.now() + std::chrono::hours(1));
  CHECK(j.journal->takes() == Journal::Takes::kRequests);
  CHECK(j.journal->stats().failure.empty());
  CHECK(j.safe + j.unsafe == 2);
  CHECK(j.read() == std::vector<std::string>{"in the write", "behind it"});  // the disk came back
  // Each is counted once: as written, or as passed by.
  CHECK(j.journal->stats().requests == (refuses ? 2 : 0));
  CHECK(j.journal->stats().passed == (refuses ? 0 : 2));
  j.put("after it");
  j.commit();
  CHECK(j.journal->stats().requests == (refuses ? 3 : 1));
}

TEST_CASE("what hung and then failed is passed by once, and parts for other members are no requests", "[journal]") {
  setup_log({.level = LogLevel::kError, .sink = [](std::string_view) {}});
  const JournalFolder folder;
  HandJournal j(folder, {.on_failure = JournalFailure::kMemory, .bytes_max = 100'000});
  REQUIRE(j.open());
  InTheMiddle words(j);
  const std::string bytes = noise(70'000);
  JournalRequest part;
  part.number = 1;
  part.otlp = bytes;
  part.whose = Whose::kOthers;
  words.call = [&] {
    j.put(bytes);
    j.journal->append(part, j.now(), {});
    j.ms += 6000;
    j.journal->watch(j.now());
    CHECK(j.journal->stats().passed == 2);
  };
  j.put(bytes);
  j.commit();
  j.commit();  // for which there is no room
  CHECK(j.journal->takes() == Journal::Takes::kPassBy);
  CHECK(j.journal->stats().passed == 2);
  CHECK(j.journal->stats().requests == 0);
  CHECK(j.safe == 2);
  CHECK(j.journal->misses_since(j.now()));
}

TEST_CASE("verdicts wait for a disk that hangs, a million at most", "[journal]") {
  const JournalFolder folder;
  HandJournal j(folder);
  REQUIRE(j.open());
  const std::vector<DecidedTrace> some(60'000);
  for (int n = 0; n != 20; ++n) j.journal->note(some);
  CHECK(j.journal->stats().ends_lost == 4 * some.size());
  j.commit();
  j.journal->note(some);
  CHECK(j.journal->stats().ends_lost == 4 * some.size());
}

TEST_CASE("a write may take for ever where no time is set", "[journal]") {
  const JournalFolder folder;
  HandJournal j(folder, {.write_timeout = Duration::zero()});
  REQUIRE(j.open());
  InTheMiddle words(j);
  words.call = [&] { j.journal->watch(j.now() + std::chrono::hours(1)); };
  j.put("in the write");
  j.commit();
  CHECK(j.safe == 1);
  CHECK(j.journal->stats().timeouts == 0);
}

TEST_CASE("torn tails, damage and files of a newer version are said, and the rest is used", "[journal]") {
  const JournalFolder folder;
  HandJournal j(folder, {.segment_bytes = 50'000});
  REQUIRE(j.open());
  for (const char c : {'a', 'b', 'c', 'd'}) {
    j.put(noise(30'000) + c);
    j.commit();
  }
  j.close();
  const std::vector<std::string> all = files(folder);
  REQUIRE(all.size() == 2);
  const auto change = [](const std::string& path, long at, std::string_view bytes) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(at, at < 0 ? std::ios::end : std::ios::beg);
    file.write(bytes.data(), static_cast<long>(bytes.size()));
  };
  const std::string kind = GENERATE("torn", "damaged", "newer", "empty", "foreign");
  std::size_t left = 3, notices = 0;
  if (kind == "torn") change(all[1], -100, std::string(100, '?'));
  if (kind == "damaged") change(all[0], 200, "damage");
  if (kind == "newer") {
    std::string header = block_file_header(1, 1).substr(0, 28);
    header[8] = 9;
    append_le(header, crc32c(header));
    change(all[0], 0, header);
    left = 2;
    notices = 1;
  }
  if (kind == "empty") {
    fs::resize_file(all[1], 0);
    left = 2;
  }
  if (kind == "foreign") {
    change(all[0], 0, "#!/bin/sh");
    left = 2;
    notices = 1;
  }
  REQUIRE(j.open());
  CHECK(j.notices.size() == notices);
  CHECK(j.read(j.journal->replay_from()).size() == left);
  CHECK(j.journal->stats().unreadable == notices);
  // A file that cannot be read stays.
  j.journal->replayed(UINT64_MAX);
  j.ms += 1'000'000;
  j.journal->swept(j.now());
  j.commit();
  CHECK(fs::exists(all[0]) == (notices != 0));
  CHECK_FALSE(fs::exists(all[1]));  // what cannot be read keeps nothing else
}

TEST_CASE("what a newer version wrote is replayed when that one is started again", "[journal]") {
  const JournalFolder folder;
  HandJournal j(folder, {.retain = std::chrono::hours(1), .hold = std::chrono::seconds(10)});
  REQUIRE(j.open());
  j.put("of the newer one");
  j.commit();
  j.close();
  const std::string path = files(folder).front();
  const auto put_version = [&](std::uint8_t version) {
    std::string header(28, '\0');
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.read(header.data(), 28);
    header[8] = static_cast<char>(version);
    append_le(header, crc32c(header));
    file.seekp(0);
    file.write(header.data(), static_cast<long>(header.size()));
  };
  put_version(kBlockFileVersion + 1);
  REQUIRE(j.open());
  CHECK(j.notices.size() == 1);
  j.journal->replayed(UINT64_MAX);
  j.put("of this one");
  j.commit();
  for (int n = 0; n != 3; ++n) {
    j.ms += 70'000;
    j.journal->swept(j.now());
    j.commit();
  }
  CHECK(j.journal->stats().unsettled == 1);
  put_version(kBlockFileVersion);
  REQUIRE(j.open());
  CHECK(j.notices.empty());
  const std::vector<std::string> found = j.read(j.journal->replay_from());
  CHECK(std::find(found.begin(), found.end(), "of the newer one") != found.end());
}

TEST_CASE("a file that the disk does not give back is tried again, and nothing is settled before", "[journal]") {
  const JournalFolder folder;
  HandJournal j(folder, {.hold = std::chrono::seconds(10), .segment_bytes = 50'000});
  REQUIRE(j.open());
  for (const char c : {'a', 'b', 'c', 'd', 'e'}) {
    j.put(noise(30'000) + c);
    j.commit();
  }
  j.close();
  const std::vector<std::string> all = files(folder);
  REQUIRE(all.size() == 3);
  const std::string aside = all[GENERATE(std::size_t{0}, std::size_t{1})] + ".aside";
  const std::string lost = aside.substr(0, aside.rfind('.'));
  fs::rename(lost, aside);
  fs::create_directory(lost);  // it can be opened, and not be read
  REQUIRE(j.open());
  CHECK(j.notices.size() == 1);
  CHECK(j.journal->replay_from() == 1);
  std::size_t found = 0;
  JournalCursor cursor(*j.journal, j.journal->replay_from());
  const auto next = [&] { return cursor.next([&](const JournalRequest&, std::uint64_t) { ++found; }); };
  auto more = next();
  while (more && *more) more = next();
  REQUIRE_FALSE(more);
  CHECK(more.error().kind == ErrorKind::kIo);
  CHECK_FALSE(next());
  j.journal->replayed(cursor.segment());
  j.ms += 100'000;
  j.journal->swept(j.now());
  j.commit();
  CHECK(fs::exists(all[2]));
  CHECK(fs::exists(lost));
  fs::remove(lost);
  fs::rename(aside, lost);
  for (more = next(); more && *more; more = next()) {
  }
  REQUIRE(more);
  CHECK(found == 5);
}

TEST_CASE("a file that somebody removed is noticed", "[journal]") {
  const JournalFolder folder;
  HandJournal j(folder);
  REQUIRE(j.open());
  j.put("gone");
  j.commit();
  fs::remove(files(folder).back());
  j.put("found");
  j.commit();
  CHECK(j.safe == 2);
  CHECK(files(folder).size() == 1);
  REQUIRE(j.open());
  CHECK(j.read(j.journal->replay_from()) == std::vector<std::string>{"found"});
}

TEST_CASE("a file that somebody moved is noticed a tenth of a second later", "[journal]") {
  const JournalFolder folder;
  HandJournal j(folder);
  REQUIRE(j.open());
  j.put("gone");
  j.commit();
  const fs::path file = files(folder).back();
  fs::rename(file, fs::path(file).replace_extension(".moved"));
  j.ms += 99;
  j.put("gone, too");
  j.commit();
  j.ms += 1;
  j.put("found");
  j.commit();
  CHECK(j.safe == 3);
  REQUIRE(j.open());
  CHECK(j.read(j.journal->replay_from()) == std::vector<std::string>{"found"});
}

TEST_CASE("what waits when the journal stops is committed, what comes later is not safe", "[journal]") {
  const JournalFolder folder;
  HandJournal j(folder);
  REQUIRE(j.open());
  j.put("a");
  j.journal->stop();
  CHECK(j.safe == 1);
  j.put("b");
  CHECK(j.unsafe == 1);
}

}  // namespace tailgate
