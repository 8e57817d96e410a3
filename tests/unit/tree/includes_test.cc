// Dependencies run one way. src/CMakeLists.txt states what each room uses; the #include lines must not say more.
#include <catch2/catch.hpp>
#include <map>

#include "tree.h"

using namespace tailgate::test;

namespace {

using Rooms = std::set<std::string>;

// room -> rooms it may include, its own and what those it uses may include.
std::map<std::string, Rooms> stated_uses() {
  const std::string text = read_text(kTree / "src/CMakeLists.txt");
  std::map<std::string, Rooms> uses;
  const std::regex call(R"(tailgate_room\((\w+)(?: USES ((?:[a-z]+ ?)+))?)");
  for (std::sregex_iterator it(text.begin(), text.end(), call), end; it != end; ++it) {
    Rooms& rooms = uses[(*it)[1]];
    rooms.insert((*it)[1]);
    for (const std::string& used : matches((*it)[2], "([a-z]+)")) rooms.merge(Rooms(uses.at(used)));  // stated before
  }
  return uses;
}

}  // namespace

TEST_CASE("what the rooms use, as CMake states it, is what the architecture allows", "[tree]") {
  // The rooms of the middle row do not use each other, but for buffer -> decide.
  const Rooms low = {"base", "config", "telemetry", "model"};
  const Rooms middle = {"receive", "buffer", "decide", "export"};
  const auto uses = stated_uses();
  REQUIRE(uses.size() >= 12);
  for (const auto& [room, used] : uses) {
    if (room == "daemon") continue;  // wires all of them
    for (const std::string& other : used) {
      if (other == room || low.contains(other) || other == "wire") continue;
      const bool allowed =
          (room == "buffer" && other == "decide") || (other == "net" && !low.contains(room) && room != "wire");
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

TEST_CASE("a library is included in its room only", "[tree]") {
  const std::map<std::string, Rooms> home = {
      {"grpc", {"export"}},
      {"grpcpp", {"export"}},
      {"nghttp2", {"net"}},
      {"boost/beast", {"net"}},
      {"boost/asio", {"net", "export"}},
      {"boost/json", {"wire", "decide", "export"}},
      {"yaml-cpp", {"config"}},
      {"spdlog", {"telemetry"}},
      {"prometheus", {"telemetry"}},
      {"librdkafka", {"export"}},
      {"re2", {"decide"}},
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
  const std::set<std::string> readers = {
      "base/clock.cc",           "base/clock.h",      "receive/ingest.cc",       "receive/otlp.cc",
      "receive/servers.h",       "buffer/sweeper.cc", "export/export_runner.cc", "export/http/http_exporter.cc",
      "export/queue/durable_store.cc", "export/s3/s3.cc",      "export/rotating_file.cc", "export/otlp/grpc.cc"};
  for (const SourceFile& file : source_files()) {
    if (readers.contains(file.path) || file.room == "daemon" || file.room == "net") continue;
    for (const char* clock : {"::now(", "monotonic_now(", "wall_now_ns("}) {
      INFO("src/" << file.path << " reads a clock by " << clock);
      CHECK(file.text.find(clock) == std::string::npos);
    }
  }
}
