// SPDX-License-Identifier: Apache-2.0
#include "head/memory_file.h"

#include <fmt/format.h>

#include <filesystem>

#include "base/replace_file.h"
#include "codec/json_text.h"
#include "codec/utf8.h"
#include "config/config_file.h"

namespace tailgate {
namespace {

std::string path_in(const std::string& directory) { return directory + "/adaptive-sampling.json"; }

}  // namespace

Result<std::vector<AdaptiveSampler::Memory>> load_memory(const std::string& directory) {
  std::error_code failed;
  std::filesystem::create_directories(directory, failed);
  if (failed) return fail(ErrorKind::kIo, fmt::format("cannot make the directory {}: {}", directory, failed.message()));
  const std::string path = path_in(directory);
  if (!std::filesystem::exists(path, failed)) return std::vector<AdaptiveSampler::Memory>();
  const Result<ConfigDocument> document = load_config_file(path, {.references = false});
  if (!document) return tl::unexpected(document.error());
  std::vector<AdaptiveSampler::Memory> out;
  for (const ConfigNode& item : document->root.child("operations").items()) {
    AdaptiveSampler::Memory one;
    one.service = item.text("service");
    one.operation = item.text("operation");
    for (const auto& [key, value] :
         {std::pair("probability", &one.probability), std::pair("demand", &one.demand),
          std::pair("usual_errors", &one.usual_errors), std::pair("usual_slow", &one.usual_slow)}) {
      *value = item.number(key, 0);
      if (!(*value >= 0)) item.error(key, "expected a number from 0");
    }
    out.push_back(std::move(one));
  }
  const std::vector<std::string> errors = messages(document->issues->errors);
  if (!errors.empty()) return fail(ErrorKind::kConfig, errors.front());
  return out;
}

Result<void> save_memory(const std::string& directory, const std::vector<AdaptiveSampler::Memory>& memory) {
  std::string text = R"({"operations":[)";
  bool first = true;
  for (const AdaptiveSampler::Memory& one : memory) {
    if (!is_utf8(one.service) || !is_utf8(one.operation)) continue;  // JSON would make another name of it
    text += first ? "\n" : ",\n";
    first = false;
    text += R"({"service":)";
    append_json_string(text, one.service);
    text += R"(,"operation":)";
    append_json_string(text, one.operation);
    append_member(text, "probability", one.probability);
    append_member(text, "demand", one.demand);
    append_member(text, "usual_errors", one.usual_errors);
    append_member(text, "usual_slow", one.usual_slow);
    text += '}';
  }
  text += "\n]}\n";
  return replace_file(path_in(directory), text, {.sync = false});
}

}  // namespace tailgate
