// The part of Asio that is not templates (BOOST_ASIO_SEPARATE_COMPILATION): event loops, timers, sockets.
#include <boost/asio/impl/src.hpp>
