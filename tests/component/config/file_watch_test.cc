// SPDX-License-Identifier: Apache-2.0
#include "config/file_watch.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "support/temp_dir.h"

using namespace tailgate;
namespace fs = std::filesystem;
using test::TempDir;
using namespace std::chrono_literals;

namespace {

constexpr TimePoint kStart{std::chrono::hours(1)};

}  // namespace

TEST_CASE("a changed, replaced, removed and returned file is seen, each once", "[config]") {
  TempDir dir;
  dir.write("a.yaml", "one");
  FileWatch watch({dir.at("a.yaml")}, {});
  CHECK_FALSE(watch.changed(kStart));
  dir.write("a.yaml", "longer");
  CHECK(watch.changed(kStart));
  CHECK_FALSE(watch.changed(kStart));
  dir.write("b.yaml", "short");
  fs::rename(dir.at("b.yaml"), dir.at("a.yaml"));
  CHECK(watch.changed(kStart));  // another file is complete
  fs::remove(dir.at("a.yaml"));
  CHECK_FALSE(watch.changed(kStart));
  CHECK(watch.changed(kStart + kShrunkWait));
  CHECK_FALSE(watch.changed(kStart + kShrunkWait));
  dir.write("a.yaml", "again");
  CHECK(watch.changed(kStart + kShrunkWait));
}

TEST_CASE("a file that became shorter is believed when it has stayed so", "[config]") {
  TempDir dir;
  dir.write("a.yaml", "policies: [a, b]");
  FileWatch watch({dir.at("a.yaml")}, {});
  dir.write("a.yaml", "");  // an editor truncates,
  CHECK(watch.shrank());
  CHECK_FALSE(watch.changed(kStart));
  CHECK(watch.settling());
  CHECK(watch.shrunk() == dir.at("a.yaml"));
  CHECK_FALSE(watch.changed(kStart + 1300ms));
  dir.write("a.yaml", "policies: [a, b, c, ");  // writes a part of it,
  CHECK_FALSE(watch.changed(kStart + 2s));
  dir.write("a.yaml", "policies: [a, b, c, d]");  // and the rest
  CHECK_FALSE(watch.changed(kStart + 4s));
  CHECK(watch.settling());
  CHECK(watch.changed(kStart + 4s + kShrunkWait));
  CHECK_FALSE(watch.settling());
  CHECK_FALSE(watch.shrank());

  dir.write("a.yaml", "policies: [a]");
  CHECK_FALSE(watch.changed(kStart + 20s));
  CHECK(watch.changed(kStart + 20s + kShrunkWait));  // it was meant
}

TEST_CASE("the symlink swap of a ConfigMap is seen", "[config]") {
  TempDir dir;
  dir.write("..v1/p.yaml", "same");
  dir.write("..v2/p.yaml", "same");
  fs::create_directory_symlink("..v1", dir.at("..data"));
  fs::create_symlink("..data/p.yaml", dir.at("p.yaml"));
  FileWatch watch({dir.at("p.yaml")}, {});
  CHECK_FALSE(watch.changed(kStart));
  fs::create_directory_symlink("..v2", dir.at("..tmp"));
  fs::rename(dir.at("..tmp"), dir.at("..data"));
  CHECK(watch.changed(kStart));
  CHECK_FALSE(watch.changed(kStart));
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
  CHECK_FALSE(watch.changed(kStart));
  dir.write("policies/c.yaml", "");
  CHECK(watch.changed(kStart));
  fs::remove(dir.at("policies/a.yaml"));
  CHECK_FALSE(watch.changed(kStart));
  CHECK(watch.changed(kStart + kShrunkWait));
  CHECK_FALSE(watch.changed(kStart + kShrunkWait));
}
