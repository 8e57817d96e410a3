// SPDX-License-Identifier: Apache-2.0
// The pages under docs/ name what the code's tables hold, and nothing else.
#include <catch2/catch.hpp>
#include <regex>

#include "decide/registry.h"
#include "export/registry.h"
#include "receive/registry.h"
#include "telemetry/metrics.h"
#include "tree.h"

using namespace tailgate;
using namespace tailgate::test;

namespace {

// First cells of the rows of the first table under `heading`.
std::vector<std::string> names_under(const char* page, const std::string& heading) {
  std::string text = read_text(kTree / page);
  const std::size_t begin = text.find("\n" + heading + "\n");
  REQUIRE(begin != std::string::npos);
  text.erase(0, begin + heading.size() + 2);
  text.erase(std::min(text.find("\n#"), text.size()));
  std::vector<std::string> out;
  for (const auto& row : table_rows(text)) out.push_back(row.at(0));
  return out;
}

std::string type_name(MetricType type) {
  return type == MetricType::kCounter ? "counter" : type == MetricType::kGauge ? "gauge" : "histogram";
}

}  // namespace

TEST_CASE("docs/policies.md has a row for each policy type", "[tree]") {
  std::vector<std::string> types;
  for (const PolicyType& type : policy_types()) types.emplace_back(type.name);
  CHECK(names_under("docs/policies.md", "## Types") == types);
}

TEST_CASE("docs/receivers.md has a row for each receiver type", "[tree]") {
  std::vector<std::string> types;
  for (const ReceiverType& type : receiver_types()) types.emplace_back(type.name);
  CHECK(names_under("docs/receivers.md", "## Types") == types);
}

TEST_CASE("docs/exporters.md has a row for each exporter type", "[tree]") {
  std::vector<std::string> types;
  for (const ExporterType& type : exporter_types()) types.emplace_back(type.type);
  CHECK(names_under("docs/exporters.md", "## Types") == types);
}

TEST_CASE("every metric of telemetry/metrics.h is in kMetrics", "[tree]") {
  const std::string text = read_text(kTree / "src/telemetry/metrics.h");
  std::set<std::string> declared, listed;
  const std::regex declaration(R"(inline constexpr Metric k\w+\{\s*"(\w+)\")");
  for (std::sregex_iterator it(text.begin(), text.end(), declaration), end; it != end; ++it) declared.insert((*it)[1]);
  for (const Metric& metric : kMetrics) listed.emplace(metric.name);
  CHECK(declared.size() > 50);
  CHECK(declared == listed);
  CHECK(listed.size() == kMetrics.size());  // none twice
}

TEST_CASE("docs/metrics.md has a row for each metric, with its type and labels", "[tree]") {
  std::set<std::string> code, docs;
  for (const Metric& metric : kMetrics) {
    std::string labels(metric.labels);
    for (std::size_t at = 0; (at = labels.find(',', at)) != std::string::npos; at += 2) labels.replace(at, 1, ", ");
    code.insert(std::string(metric.name) + " " + type_name(metric.type) + " " + labels);
  }
  for (const auto& row : table_rows(read_text(kTree / "docs/metrics.md"))) {
    if (row.size() == 4 && (row[0].starts_with("tailgate_") || row[0].starts_with("process_")))
      docs.insert(row.at(0) + " " + row.at(1) + " " + row.at(2));
  }
  CHECK(docs == code);
}

TEST_CASE("src/README.md has each room and each folder in one", "[tree]") {
  std::set<std::string> rooms, rows;
  for (const SourceFile& file : source_files()) {
    const std::size_t room = file.path.find('/'), folder = file.path.find('/', room + 1);
    if (room != std::string::npos) rooms.insert(file.path.substr(0, room + 1));
    if (folder != std::string::npos) rooms.insert(file.path.substr(0, folder + 1));
  }
  for (const std::string& cell : names_under("src/README.md", "## Rooms")) {
    for (const std::string& name : matches(cell, "([a-z_/0-9]+/)(?:,|$)")) rows.insert(name);
  }
  CHECK(rows == rooms);
}

TEST_CASE("every key that the code reads is described", "[tree]") {
  std::string pages;
  for (const char* page :
       {"config", "policies", "receivers", "exporters", "web", "signals", "head-sampling", "cluster", "kafka"}) {
    pages += read_text(kTree / (std::string("docs/") + page + ".md"));
  }
  for (const char* folder : {"docs/exporters", "docs/query"}) {
    for (const auto& entry : fs::directory_iterator(kTree / folder)) pages += read_text(entry.path());
  }
  std::set<std::string> keys;
  for (const SourceFile& file : source_files()) {
    if (file.room == "config") continue;
    for (const std::string& key :
         matches(file.text,
                 R"re([.>](?:text|integer|duration|bytes|boolean|number|choice|texts|child|has)\("([a-z_]+)")re")) {
      keys.insert(key);
    }
    for (const std::string& key : matches(file.text, R"re(count\(node, "([a-z_]+)")re")) keys.insert(key);
    for (const std::string& list : matches(file.text, R"re((?:without_effect\(|not_supported\(node, )\{([^}]*)\})re")) {
      for (const std::string& key : matches(list, "\"([a-z0-9_]+)\"")) keys.insert(key);
    }
  }
  CHECK(keys.size() > 100);
  for (const std::string& key : keys) {
    INFO("the key `"
         << key
         << "` is on none of docs/{config,policies,receivers,exporters,web,signals,head-sampling,cluster,kafka}.md and "
            "docs/{exporters,query}/*.md");
    CHECK(std::regex_search(pages, std::regex("[`.{ ,]" + key + "[`:.,} ]")));
  }
}

TEST_CASE("every link from a page to a file of this tree leads somewhere", "[tree]") {
  std::vector<fs::path> pages = {kTree / "README.md", kTree / "src/README.md"};
  for (const auto& entry : fs::recursive_directory_iterator(kTree / "docs")) {
    if (entry.path().extension() == ".md") pages.push_back(entry.path());
  }
  for (const fs::path& page : pages) {
    for (const std::string& target : matches(read_text(page), R"(\]\(([^)#:]+)[)#])")) {
      INFO(page.lexically_relative(kTree).string() << " links to " << target);
      CHECK(fs::exists(page.parent_path() / target));
    }
  }
}

TEST_CASE("every link of a page leads to a file, and to a heading of it", "[tree]") {
  std::vector<fs::path> pages = {kTree / "README.md", kTree / "src/README.md"};
  for (const auto& entry : fs::recursive_directory_iterator(kTree / "docs")) {
    if (entry.path().extension() == ".md") pages.push_back(entry.path());
  }
  REQUIRE(pages.size() > 20);
  for (const fs::path& page : pages) {
    for (const std::string& link : matches(read_text(page), R"(\]\(([^)\s]+)\))")) {
      if (link.find("://") != std::string::npos) continue;
      INFO(page << " links to " << link);
      const std::size_t hash = link.find('#');
      const fs::path target = hash == 0 ? page : page.parent_path() / link.substr(0, hash);
      REQUIRE(fs::exists(target));
      if (hash == std::string::npos) continue;
      std::set<std::string> anchors;
      for (const std::string& heading : matches(read_text(target), "\n#+ ([^\n]*)")) {
        std::string anchor;
        for (const char c : heading) {
          if (std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_')
            anchor += static_cast<char>(std::tolower(c));
          if (c == ' ') anchor += '-';
        }
        anchors.insert(anchor);
      }
      CHECK(anchors.contains(link.substr(hash + 1)));
    }
  }
}

TEST_CASE("the lines of a page wrap at 120, but those of tables and code", "[tree]") {
  for (const auto& entry : fs::recursive_directory_iterator(kTree / "docs")) {
    if (entry.path().extension() != ".md") continue;
    bool fence = false;
    for (const std::string& line : matches(read_text(entry.path()), "([^\n]*)\n")) {
      fence ^= line.starts_with("```");
      if (fence || line.starts_with('|') || line.starts_with("    ") || line.find("http") != std::string::npos)
        continue;
      std::size_t columns = 0;
      for (const char c : line) columns += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
      INFO(entry.path() << ": " << line);
      CHECK((columns <= 120 || line.starts_with("  ")));
    }
  }
}
