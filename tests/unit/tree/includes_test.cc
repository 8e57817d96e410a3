// SPDX-License-Identifier: Apache-2.0
// Dependencies run one way. src/CMakeLists.txt states what each room uses; the #include lines must not say more.
#include <catch2/catch.hpp>
#include <map>

#include "tree.h"

using namespace tailgate::test;

namespace {

using Rooms = std::set<std::string>;

std::string cmake_text() { return read_text(kTree / "src/CMakeLists.txt"); }

// room -> rooms it may include, its own and what those it uses may include.
std::map<std::string, Rooms> stated_uses() {
  const std::string text = cmake_text();
  std::map<std::string, Rooms> uses;
  const std::regex call(R"(tailgate_room\((\w+)(?: USES ((?:[a-z]+ ?)+))?)");
  for (std::sregex_iterator it(text.begin(), text.end(), call), end; it != end; ++it) {
    Rooms& rooms = uses[(*it)[1]];
    rooms.insert((*it)[1]);
    for (const std::string& used : matches((*it)[2], "([a-z]+)")) rooms.merge(Rooms(uses.at(used)));  // stated before
  }
  return uses;
}

// room -> folder inside it -> folders inside it that it may include, with what those may include.
std::map<std::string, std::map<std::string, Rooms>> stated_folders() {
  const std::string text = cmake_text();
  std::map<std::string, std::map<std::string, Rooms>> out;
  const std::regex call(R"(tailgate_folders\((\w+)([^)]*)\))"), line(R"re("([a-z0-9_./]+):([^"]*)")re");
  for (std::sregex_iterator it(text.begin(), text.end(), call), end; it != end; ++it) {
    const std::string lines = (*it)[2];
    std::map<std::string, Rooms>& folders = out[(*it)[1]];
    for (std::sregex_iterator one(lines.begin(), lines.end(), line); one != end; ++one) {
      Rooms& may = folders[(*one)[1]];
      may.insert((*one)[1]);
      for (const std::string& used : matches((*one)[2], "([a-z0-9_./]+)")) may.merge(Rooms(folders.at(used)));
    }
  }
  return out;
}

// "net/http/door.cc" -> "http", "net/limits.h" -> ".".
std::string folder_of(const std::string& path) {
  const std::size_t room = path.find('/'), file = path.rfind('/');
  return room == file ? "." : path.substr(room + 1, file - room - 1);
}

}  // namespace

TEST_CASE("what the rooms use, as CMake states it, is what the architecture allows", "[tree]") {
  // The rooms of the middle row do not use each other, but for buffer -> decide.
  const Rooms low = {"base", "codec", "config", "telemetry", "model"};
  const Rooms middle = {"receive", "buffer", "decide", "export"};
  const auto uses = stated_uses();
  REQUIRE(uses.size() >= 12);
  for (const auto& [room, used] : uses) {
    if (room == "cluster" || room == "settings" || room == "migrate" || room == "daemon")
      continue;  // they see all of them
    for (const std::string& other : used) {
      if (other == room || low.contains(other) || other == "wire") continue;
      const bool allowed = (room == "buffer" && other == "decide") || other == "blocks" || other == "store" ||
                           (room == "web" && other == "traceql") ||
                           (other == "net" && !low.contains(room) && room != "wire");
      INFO(room << " uses " << other);
      CHECK((allowed && !(middle.contains(room) && middle.contains(other) && room != "buffer")));
    }
  }
  for (const std::string& room : low) CHECK_FALSE(uses.at(room).contains("wire"));
}

TEST_CASE("no file includes a room that its own does not use", "[tree]") {
  const auto uses = stated_uses();
  for (const SourceFile& file : source_files()) {
    if (file.room.empty()) continue;  // main.cc
    REQUIRE(uses.contains(file.room));
    for (const std::string& other : matches(file.text, "#include \"([a-z]+)/")) {
      INFO("src/" << file.path << " includes " << other);
      CHECK(uses.at(file.room).contains(other));
    }
  }
}

TEST_CASE("no file includes a folder of its room that its own does not use", "[tree]") {
  const auto stated = stated_folders();
  REQUIRE(stated.size() >= 4);
  for (const SourceFile& file : source_files()) {
    const std::string folder = folder_of(file.path);
    if (!stated.contains(file.room)) {
      INFO("src/" << file.path << " is in a folder that src/CMakeLists.txt does not state");
      CHECK((folder == "." || file.room.empty()));
      continue;
    }
    INFO("src/" << file.path);
    REQUIRE(stated.at(file.room).contains(folder));
    for (const std::string& header : matches(file.text, "#include \"(" + file.room + "/[^\"]+)\"")) {
      INFO(" includes " << header);
      CHECK(stated.at(file.room).at(folder).contains(folder_of(header)));
    }
  }
}

TEST_CASE("no folder under src/ has more than 32 source files directly in it", "[tree]") {
  std::map<std::string, int> files;
  for (const SourceFile& file : source_files()) ++files[file.path.substr(0, file.path.rfind('/'))];
  for (const auto& [folder, count] : files) {
    INFO("src/" << folder << " has " << count);
    CHECK(count <= 32);
  }
}

TEST_CASE("a library is included in its room only", "[tree]") {
  const std::map<std::string, Rooms> home = {
      {"grpc", {"export"}},
      {"grpcpp", {"export"}},
      {"nghttp2", {"net"}},
      {"boost/beast", {"net"}},
      {"boost/asio", {"net", "export", "cluster"}},
      {"boost/json", {"wire", "decide", "export"}},
      {"yaml-cpp", {"config"}},
      {"spdlog", {"telemetry"}},
      {"prometheus", {"telemetry"}},
      {"librdkafka", {"net"}},
      {"sqlite3", {"store"}},
      {"lz4", {"blocks"}},
      {"re2", {"decide", "traceql", "signals"}},
      {"systemd", {"daemon"}},
      {"openssl", {"net", "decide", "export"}},
      {"arrow", {"export"}},
      {"parquet", {"export"}},
      {"absl", {"decide"}},
      {"google", {}},
      {"simdjson", {}},
  };
  for (const SourceFile& file : source_files()) {
    for (const std::string& header : matches(file.text, "#include <([^>]+)>")) {
      for (const auto& [library, rooms] : home) {
        if (!header.starts_with(library + "/") && header != library + ".h") continue;
        INFO("src/" << file.path << " includes <" << header << ">");
        CHECK(rooms.contains(file.room));
      }
    }
  }
}

TEST_CASE("clocks are read where a loop meets the world and nowhere else", "[tree]") {
  const std::set<std::string> readers = {"base/clock.cc",
                                         "base/clock.h",
                                         "receive/ingest.cc",
                                         "receive/servers.cc",
                                         "receive/kafka/consumer.cc",
                                         "receive/kafka/commits.cc",
                                         "receive/kafka/verdict_topic.cc",  // how long brokers may take
                                         "journal/journal.cc",
                                         "journal/past.cc",  // when its thread looks again
                                         "buffer/store/sweeper.cc",
                                         "export/debug.cc",  // each line has the time
                                         "export/export_runner.cc",
                                         "export/exporter.cc",
                                         "export/http/http_exporter.cc",
                                         "export/queue/durable_store.cc",
                                         "export/queue/kept_log.cc",  // the name of a damaged file has the date
                                         "export/elasticsearch/elasticsearch.cc",
                                         "export/s3/s3.cc",
                                         "telemetry/rotating_file.cc",
                                         "export/store.cc",
                                         "web/fleet/fleet_store.cc",  // how long others may take
                                         "web/jaeger/answer.h",       // and a peer
                                         "web/jaeger/http_v1.cc",     // times that are not given
                                         "web/trace_api.cc",          // a search of "the last hour"
                                         "web/try_page.cc",           // likewise
                                         "web/trace_search.cc",       // and its deadline
                                         "web/tempo/search.cc",       // until when a peer may read the answer
                                         "web/tempo/door.cc",         // likewise
                                         "export/otlp/grpc.cc",
                                         "cluster/cluster.cc",
                                         "cluster/peer_client.cc"};
  for (const SourceFile& file : source_files()) {
    if (readers.contains(file.path) || file.room == "daemon" || file.room == "net") continue;
    for (const char* clock : {"::now(", "monotonic_now(", "wall_now_ns("}) {
      INFO("src/" << file.path << " reads a clock by " << clock);
      CHECK(file.text.find(clock) == std::string::npos);
    }
  }
}

TEST_CASE("every source file begins with its licence", "[tree]") {
  for (const SourceFile& file : source_files()) {
    INFO("src/" << file.path);
    CHECK(file.text.starts_with("// SPDX-License-Identifier: Apache-2.0\n"));
  }
}

TEST_CASE("a file has at most 500 lines", "[tree]") {
  for (const SourceFile& file : source_files()) {
    INFO("src/" << file.path);
    CHECK(std::count(file.text.begin(), file.text.end(), '\n') <= 500);
  }
}
