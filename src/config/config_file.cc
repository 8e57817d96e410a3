// SPDX-License-Identifier: Apache-2.0
#include "config/config_file.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "config/config_impl.h"
#include "config/expand.h"
#include "config/yaml_value.h"

namespace tailgate {
namespace {

using Kind = YamlValue::Kind;

std::optional<std::string> process_environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value != nullptr ? std::optional<std::string>(value) : std::nullopt;
}

// --set writes along a path of copies, so that a value shared by aliases changes at one place only.
struct Override {
  std::string path;
  std::size_t done = 0;  // bytes of path already walked
  YamlValuePtr value;

  bool at_end() const { return done > path.size(); }
  std::string take() {
    const std::size_t dot = std::min(path.find('.', done), path.size());
    std::string part = path.substr(done, dot - done);
    done = dot + 1;
    return part;
  }
};

YamlValuePtr copy_of(const YamlValuePtr& old, const YamlValuePtr& like) {
  auto made = old != nullptr ? std::make_shared<YamlValue>(*old) : std::make_shared<YamlValue>();
  if (old == nullptr) {
    made->place = like->place;
    made->file = like->file;
  }
  if (made->kind == Kind::kNull) made->kind = Kind::kMap;
  return made;
}

std::optional<std::size_t> parse_index(std::string_view text) {
  std::size_t index = 0;
  if (text.empty() || text.size() > 6) return std::nullopt;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    index = index * 10 + static_cast<std::size_t>(c - '0');
  }
  return index;
}

// Returns an error text, empty when done.
std::string apply(YamlValuePtr& root, Override change) {
  YamlValuePtr* slot = &root;
  while (!change.at_end()) {
    *slot = copy_of(*slot, change.value);
    YamlValue& at = **slot;
    const std::string walked = change.path.substr(0, change.done == 0 ? 0 : change.done - 1);
    const std::string part = change.take();
    if (part.empty()) return "expected a path like a.b.c, got an empty name in it";
    if (at.kind == Kind::kMap) {
      slot = nullptr;
      for (YamlEntry& e : at.entries) {
        if (e.key == part) slot = &e.value;
      }
      if (slot == nullptr) {
        at.entries.push_back({part, change.value->place, nullptr});
        slot = &at.entries.back().value;
      }
    } else if (at.kind == Kind::kList) {
      const std::optional<std::size_t> index = parse_index(part);
      if (!index || *index > at.items.size()) {
        return fmt::format("expected an index from 0 to {} in the list {}, got {}", at.items.size(), walked,
                           quote_for_message(part));
      }
      if (*index == at.items.size()) at.items.push_back(nullptr);
      slot = &at.items[*index];
    } else {
      return fmt::format("expected a map or a list at {}, got {}", walked, describe(&at));
    }
  }
  *slot = change.value;
  return "";
}

void apply_override(YamlValuePtr& root, const std::string& text, ConfigIssues& issues) {
  const std::string file = "--set";
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    issues.errors.push_back({IssueKind::kBadValue, file, 1, 1, "", "expected a.b.c=VALUE", quote_for_message(text)});
    return;
  }
  Override change;
  change.path = text.substr(0, equals);
  constexpr std::size_t kPathMax = 1024;
  if (change.path.size() > kPathMax) {
    issues.errors.push_back({IssueKind::kBadValue, file, 1, 1, "",
                             fmt::format("expected a path of at most {} bytes", kPathMax),
                             std::to_string(change.path.size())});
    return;
  }
  const YamlPlace place{1, static_cast<int>(equals) + 2};
  Result<YamlValuePtr> value = parse_yaml(std::string_view(text).substr(equals + 1), file, place);
  if (!value) {
    issues.errors.push_back({IssueKind::kUnreadable, file, 1, 1, "", value.error().text, ""});
    return;
  }
  change.value = *value;
  const std::string problem = apply(root, change);
  if (!problem.empty()) issues.errors.push_back({IssueKind::kBadValue, file, 1, 1, change.path, problem, ""});
}

}  // namespace

Result<ConfigDocument> load_config_text(std::string_view yaml, const std::string& name, const LoadOptions& options) {
  Result<YamlValuePtr> parsed = parse_yaml(yaml, name);
  if (!parsed) return tl::unexpected(parsed.error());
  YamlValuePtr root = *parsed;
  auto issues = options.issues != nullptr ? options.issues : std::make_shared<ConfigIssues>();
  for (const std::string& text : options.overrides) apply_override(root, text, *issues);
  if (options.references) {
    expand_environment(root, options.environment ? options.environment : process_environment, *issues);
  }

  auto impl = std::make_shared<ConfigNode::Impl>();
  impl->value = root;
  impl->file = root->file;
  impl->place = root->place;
  impl->issues = issues;
  return ConfigDocument{ConfigNode(std::move(impl)), std::move(issues)};
}

Result<ConfigDocument> load_config_file(const std::string& path, const LoadOptions& options) {
  std::FILE* file = std::fopen(path.c_str(), "re");
  if (file == nullptr) {
    return fail(ErrorKind::kIo, fmt::format("cannot open {}: {}", path, std::strerror(errno)));
  }
  std::string text;
  char block[16384];
  std::size_t n = 0;
  while (text.size() <= kConfigBytesMax && (n = std::fread(block, 1, sizeof block, file)) > 0) text.append(block, n);
  const bool bad = std::ferror(file) != 0;
  const int reason = errno;
  std::fclose(file);
  if (bad) return fail(ErrorKind::kIo, fmt::format("cannot open {}: {}", path, std::strerror(reason)));
  if (text.size() > kConfigBytesMax) {
    return fail(ErrorKind::kConfig, fmt::format("{}: expected at most {} bytes, got more", path, kConfigBytesMax));
  }
  return load_config_text(text, path, options);
}

}  // namespace tailgate
