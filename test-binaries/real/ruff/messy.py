import sys, os
from typing import List, Dict
def collect( names:List[str],extra = [] )->Dict[str,int] :
    unused=1
    result = {  }
    for n in names :
        if n == None: continue
        result[n]=len( n )
    print('%s' % result, "Grüße")
    return result
class  Thing( object ):
  def method(self): return {'a':1,'b':[1,2,
     3]}
