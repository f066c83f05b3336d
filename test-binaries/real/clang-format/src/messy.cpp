#include <vector>
#include "shapes.h"
#include <algorithm>
  namespace shapes{
template<typename T,int N> struct Grid{T cells[N];
  T&operator[](int i){return cells[i];}
 static constexpr int size( ){return N;}};

 int area(const std::vector<Rectangle>&all){int sum=0;for(const auto&one:all){if(one.width>0&&one.height>0)sum+=one.width*one.height;else continue;}return sum;}

auto sorted(std::vector<Rectangle>all)->std::vector<Rectangle>{std::sort(all.begin(),all.end(),[](const Rectangle&a,const Rectangle&b){return a.width<b.width||(a.width==b.width&&a.height<b.height);});return all;}

/* grüße */ const char*const names[]={"Rechteck","四角形",  "prostokąt",R"(raw   "text")"};
  switch_like(int kind){switch(kind){case 0:return 1;case 1:{return 2;}default:break;}
try{throw kind;}catch(int&number){return number;}catch(...){throw;}}
}
