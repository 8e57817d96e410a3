// SPDX-License-Identifier: Apache-2.0
// The sources and pages of this tree as text, for tests that hold them against each other.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace tailgate::test {

namespace fs = std::filesystem;

inline const fs::path kTree = TAILGATE_SOURCE_DIR;

inline std::string read_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
}

struct SourceFile {
  std::string path;  // from src/, "buffer/open_trace.cc"
  std::string room;  // "buffer"; "" for main.cc
  std::string text;
};

// Every .h and .cc under src/.
inline std::vector<SourceFile> source_files() {
  std::vector<SourceFile> out;
  for (const auto& entry : fs::recursive_directory_iterator(kTree / "src")) {
    const std::string extension = entry.path().extension().string();
    if (extension != ".h" && extension != ".cc") continue;
    const fs::path path = entry.path().lexically_relative(kTree / "src");
    out.push_back({path.string(), path.has_parent_path() ? path.begin()->string() : "", read_text(entry.path())});
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  return out;
}

// What the first group of `pattern` matched, all over `text`.
inline std::vector<std::string> matches(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern);
  std::vector<std::string> out;
  for (std::sregex_iterator it(text.begin(), text.end(), regex), end; it != end; ++it) out.push_back((*it)[1]);
  return out;
}

// The cells of the rows of Markdown tables whose first cell begins with a name in backquotes, without the backquotes.
inline std::vector<std::vector<std::string>> table_rows(const std::string& page) {
  std::vector<std::vector<std::string>> out;
  std::size_t at = 0;
  while (at < page.size()) {
    const std::size_t end = std::min(page.find('\n', at), page.size());
    const std::string line = page.substr(at, end - at);
    at = end + 1;
    if (!line.starts_with("| `")) continue;
    std::vector<std::string> cells;
    std::size_t from = 1;
    for (std::size_t i = 1; i < line.size(); ++i) {
      if (line[i] != '|' || line[i - 1] == '\\') continue;
      std::string cell = line.substr(from, i - from);
      std::erase(cell, '`');
      cell.erase(0, cell.find_first_not_of(' '));
      cell.erase(cell.find_last_not_of(' ') + 1);
      cells.push_back(cell);
      from = i + 1;
    }
    out.push_back(cells);
  }
  return out;
}

}  // namespace tailgate::test
