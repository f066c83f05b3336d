var a = 1
if (a == null) { debugger }
const unused = {b:2,  c : 3};
