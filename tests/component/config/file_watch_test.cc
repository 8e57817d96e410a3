// SPDX-License-Identifier: Apache-2.0
#include "config/file_watch.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

using namespace tailgate;
namespace fs = std::filesystem;

namespace {

struct TempDir {
  fs::path path;
  TempDir() {
    std::string name = (fs::temp_directory_path() / "tailgate-watch-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~TempDir() { fs::remove_all(path); }
  std::string at(const std::string& name) const { return (path / name).string(); }
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((path / name).parent_path());
    std::ofstream(path / name) << text;
  }
};

}  // namespace

TEST_CASE("a changed, replaced, removed and returned file is seen, each once", "[config]") {
  TempDir dir;
  dir.write("a.yaml", "one");
  FileWatch watch({dir.at("a.yaml")}, {});
  CHECK_FALSE(watch.changed());
  dir.write("a.yaml", "longer");
  CHECK(watch.changed());
  CHECK_FALSE(watch.changed());
  dir.write("b.yaml", "longer");
  fs::rename(dir.at("b.yaml"), dir.at("a.yaml"));
  CHECK(watch.changed());
  fs::remove(dir.at("a.yaml"));
  CHECK(watch.changed());
  CHECK_FALSE(watch.changed());
  dir.write("a.yaml", "again");
  CHECK(watch.changed());
}

TEST_CASE("the symlink swap of a ConfigMap is seen", "[config]") {
  TempDir dir;
  dir.write("..v1/p.yaml", "same");
  dir.write("..v2/p.yaml", "same");
  fs::create_directory_symlink("..v1", dir.at("..data"));
  fs::create_symlink("..data/p.yaml", dir.at("p.yaml"));
  FileWatch watch({dir.at("p.yaml")}, {});
  CHECK_FALSE(watch.changed());
  fs::create_directory_symlink("..v2", dir.at("..tmp"));
  fs::rename(dir.at("..tmp"), dir.at("..data"));
  CHECK(watch.changed());
  CHECK_FALSE(watch.changed());
}

TEST_CASE("patterns are sorted, relative to the main file, and see files come and go", "[config]") {
  TempDir dir;
  dir.write("main.yaml", "");
  dir.write("policies/b.yaml", "");
  dir.write("policies/a.yaml", "");
  CHECK(expand_glob("policies/*.yaml", dir.at("main.yaml")) ==
        std::vector<std::string>{dir.at("policies/a.yaml"), dir.at("policies/b.yaml")});
  CHECK(expand_glob(dir.at("policies/[b]*"), "x") == std::vector<std::string>{dir.at("policies/b.yaml")});
  CHECK(expand_glob("none*.yaml", dir.at("main.yaml")).empty());
  CHECK(expand_glob("missing.yaml", dir.at("main.yaml")) == std::vector<std::string>{dir.at("missing.yaml")});
  CHECK(expand_glob("x.yaml", "main.yaml") == std::vector<std::string>{"x.yaml"});

  FileWatch watch({dir.at("main.yaml")}, {"policies/*.yaml"});
  CHECK_FALSE(watch.changed());
  dir.write("policies/c.yaml", "");
  CHECK(watch.changed());
  fs::remove(dir.at("policies/a.yaml"));
  CHECK(watch.changed());
  CHECK_FALSE(watch.changed());
}
