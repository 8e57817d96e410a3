// SPDX-License-Identifier: Apache-2.0
#include "export/parquet/library.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

namespace tailgate {

std::string find_parquet_module() {
  std::error_code failed;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", failed);
  if (failed) return "";
  const std::filesystem::path home = program.parent_path();
  for (const std::filesystem::path& folder : {home, home.parent_path() / "lib/tailgate"}) {
    std::string path = (folder / kParquetModule).string();
    if (::access(path.c_str(), R_OK) == 0) return path;
  }
  return "";
}

Result<MakeSpanTable> load_parquet_module(const std::string& path) {
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) return fail(ErrorKind::kIo, fmt::format("cannot load {}: {}", path, dlerror()));
  const auto* const module = static_cast<const SpanTableModule*>(dlsym(library, kSpanTableSymbol));
  if (module == nullptr || module->version != span_table_version(TAILGATE_SPAN_TABLE_BUILD))
    return fail(ErrorKind::kIo, fmt::format("{} is of another build than this program", path));
  return [module](const SpanTableOptions& options) { return std::unique_ptr<SpanTableWriter>(module->make(options)); };
}

}  // namespace tailgate
