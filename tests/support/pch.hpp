/// What nearly every test includes, precompiled.
#pragma once

#include "tests/support/run.hpp"
#include "tests/support/temp_dir.hpp"

#include <catch2/catch.hpp>
