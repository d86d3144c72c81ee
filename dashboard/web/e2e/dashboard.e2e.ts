/** The whole system as a person uses it: real binary, real browser, simulated trackers on real sockets. In this order. */

import './stage';
import './cases/entering';
import './cases/fences';
import './cases/map';
import './cases/history';
import './cases/everybody';
