// SPDX-License-Identifier: Apache-2.0
// The only place that exits.
#include "daemon/cli.h"

int main(int argc, char** argv) { return tailgate::run_cli(argc, argv); }
