// Holds the precompiled header that all modules share (see options.cmake).
