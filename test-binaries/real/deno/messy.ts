const   x:number=1
export function f( a:string,b = [1,2,3] ){return a+b.map(v=>v*x).join( ',' )}
